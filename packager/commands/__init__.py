"""The packager's commands, by what they are about; packager.cli adds them to `imgvol`."""
