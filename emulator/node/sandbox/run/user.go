package main

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"
)

const (
	prctlSetKeepCaps        = 8
	prctlCapBoundingDrop    = 24
	prctlCapAmbient         = 47
	prctlCapAmbientClearAll = 4
	capabilityVersion3      = 0x20080522
	lastCapability          = 63
)

// becomeUser gives this thread the container's user, groups and capabilities. A user other than root has none of the
// capabilities: they are only the bound of what a program could gain.
func becomeUser(s *spec) error {
	var set uint64
	for _, capability := range s.Capabilities {
		set |= 1 << capability
	}
	for capability := 0; capability <= lastCapability; capability++ {
		if set&(1<<capability) != 0 {
			continue
		}
		// EINVAL: this kernel has no such capability.
		if err := prctl(prctlCapBoundingDrop, uintptr(capability)); err != nil && err != syscall.EINVAL {
			return fmt.Errorf("unable to apply bounding set: %w", err)
		}
	}
	if err := prctl(prctlCapAmbient, prctlCapAmbientClearAll); err != nil {
		return fmt.Errorf("unable to clear the ambient capabilities: %w", err)
	}
	if s.Groups != nil {
		if err := setGroups(s.Groups); err != nil {
			return fmt.Errorf("unable to set the groups: %w", err)
		}
	}
	if err := call(syscall.SYS_SETRESGID, s.GID); err != nil {
		return fmt.Errorf("unable to set the group: %w", err)
	}
	if err := prctl(prctlSetKeepCaps, 1); err != nil {
		return err
	}
	if err := call(syscall.SYS_SETRESUID, s.UID); err != nil {
		return fmt.Errorf("unable to set the user: %w", err)
	}
	if err := prctl(prctlSetKeepCaps, 0); err != nil {
		return err
	}
	if s.UID != 0 {
		set = 0
	}
	if err := setCapabilities(set); err != nil {
		return fmt.Errorf("unable to apply caps: %w", err)
	}
	return nil
}

// These system calls act on the calling thread alone, which is all that matters before execve.

func prctl(option, argument uintptr) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, argument, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func call(number uintptr, id int) error {
	if _, _, errno := syscall.RawSyscall(number, uintptr(id), uintptr(id), uintptr(id)); errno != 0 {
		return errno
	}
	return nil
}

func setGroups(groups []int) error {
	ids := make([]uint32, len(groups)+1)
	for i, group := range groups {
		ids[i] = uint32(group)
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&ids[0])), 0)
	runtime.KeepAlive(ids)
	if errno != 0 {
		return errno
	}
	return nil
}

func setCapabilities(set uint64) error {
	header := struct {
		version uint32
		pid     int32
	}{capabilityVersion3, 0}
	data := [2]struct{ effective, permitted, inheritable uint32 }{
		{uint32(set), uint32(set), 0},
		{uint32(set >> 32), uint32(set >> 32), 0},
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
