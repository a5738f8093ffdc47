package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"
)

const (
	prctlCapAmbient         = 47
	prctlCapAmbientClearAll = 4
)

// addAddress gives the loopback device a second IPv4 address, that of the pod: what listens on all addresses of the
// pod is then reachable there, and what listens on 127.0.0.1 alone is not, as on a real node.
func addAddress(text string) error {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return err
	}
	if !address.Is4() {
		return errors.New("it is not an IPv4 address")
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := setInterface(fd, syscall.SIOCSIFADDR, address); err != nil {
		return err
	}
	return setInterface(fd, syscall.SIOCSIFNETMASK, netip.AddrFrom4([4]byte{255, 255, 255, 255}))
}

// setInterface is an ioctl with struct ifreq: a name of 16 bytes, then a struct sockaddr_in, 40 bytes in all.
func setInterface(fd int, request uintptr, address netip.Addr) error {
	var ifreq [40]byte
	copy(ifreq[:16], "lo:pod")
	binary.NativeEndian.PutUint16(ifreq[16:], syscall.AF_INET)
	ip := address.As4()
	copy(ifreq[20:24], ip[:])
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return fmt.Errorf("ioctl: %w", errno)
	}
	return nil
}

// clearAmbient makes the programs started from here begin without the capabilities that pause needs: bubblewrap
// refuses to start for an ordinary user who has any.
func clearAmbient() error {
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prctlCapAmbient, prctlCapAmbientClearAll, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
