"""The conformance suite: claims about image volumes, judged over the wire on whatever target is given."""
