package orders

import rego.v1

default allow := false

allow if {
	count(input.items) > 0
	count(input.items) <= data.limits.max_items_per_order
}
