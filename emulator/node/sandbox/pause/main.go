// Pause is the first process of a pod. It holds the pod's network, IPC, UTS and PID namespaces, and does inside
// them what the emulator asks over one socket: start a container, signal it, connect to a port.
//
//	pause FD STATE [ADDRESS]
//	pause check COMMAND…        only execute a command, as bubblewrap is executed in a pod
//
// FD is one end of a pair of Unix sockets of type SOCK_SEQPACKET. STATE is the directory with all that containers will
// mount. ADDRESS, an IPv4 address, becomes the pod's own: it is added to the loopback device. Pause ends when the other end of the socket closes, and as the init process of
// the PID namespace it takes every process of the pod with it.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pause:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: pause FD STATE [ADDRESS]")
	}
	if args[0] == "check" {
		if err := prepare("", ""); err != nil {
			return err
		}
		return syscall.Exec(args[1], args[1:], nil)
	}
	if err := prepare(args[1], strings.Join(args[2:], "")); err != nil {
		return err
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("the control descriptor must be a number, not %q", args[0])
	}
	return serve(fd)
}

// prepare finishes the namespaces that bubblewrap has made. It does nothing where pause runs without any.
func prepare(state, address string) error {
	if os.Getpid() == 1 {
		// Bubblewrap looks for its child in /proc, so /proc must be of this PID namespace. Bubblewrap's own --proc
		// would do, but it covers parts, and then the kernel lets no user namespace within mount another.
		flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
		if err := syscall.Mount("proc", "/proc", "proc", flags, ""); err != nil {
			return fmt.Errorf("cannot mount /proc: %w", err)
		}
		if err := clearFlags(state); err != nil {
			return fmt.Errorf("cannot bind %s: %w", state, err)
		}
	}
	if address != "" {
		if err := addAddress(address); err != nil {
			return fmt.Errorf("cannot give the loopback device the address %s: %w", address, err)
		}
	}
	if err := clearAmbient(); err != nil {
		return fmt.Errorf("cannot clear the ambient capabilities: %w", err)
	}
	return nil
}

// clearFlags makes a directory a mount of its own, without the nosuid that bubblewrap has added: in a user namespace
// within, nobody could clear it any more. What the host itself does not allow stays.
func clearFlags(directory string) error {
	if directory == "" {
		return nil
	}
	if err := syscall.Mount(directory, directory, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := syscall.Mount("", directory, "", syscall.MS_REMOUNT|syscall.MS_BIND, ""); err != syscall.EPERM {
		return err
	}
	return nil
}

// serve answers requests on the control socket until the emulator hangs up.
func serve(fd int) error {
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "control")
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("descriptor %d is not the control socket: %w", fd, err)
	}
	file.Close()
	pod := newPod(conn.(*net.UnixConn))
	go func() {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
		<-terminated
		pod.killAll()
		os.Exit(0)
	}()
	err = pod.serve()
	pod.killAll()
	return err
}
