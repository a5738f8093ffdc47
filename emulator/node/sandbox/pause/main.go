// Pause is the first process of a pod. It holds the pod's network, IPC, UTS and PID namespaces, and does inside
// them what the emulator asks over one socket: start a container, signal it, connect to a port.
//
//	pause FD [ADDRESS]
//	pause check COMMAND…    only execute a command, as bubblewrap is executed in a pod
//
// FD is one end of a pair of Unix sockets of type SOCK_SEQPACKET. ADDRESS, an IPv4 address, becomes the pod's own:
// it is added to the loopback device. Pause ends when the other end of the socket closes, and as the init process of
// the PID namespace it takes every process of the pod with it.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pause:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 {
		return errors.New("usage: pause FD [ADDRESS]")
	}
	address := ""
	if args[0] != "check" && len(args) > 1 {
		address = args[1]
	}
	if err := prepare(address); err != nil {
		return err
	}
	if args[0] == "check" {
		return syscall.Exec(args[1], args[1:], nil)
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("the control descriptor must be a number, not %q", args[0])
	}
	return serve(fd)
}

// prepare finishes the namespaces that bubblewrap has made. It does nothing where pause runs without any.
func prepare(address string) error {
	if os.Getpid() == 1 {
		// Bubblewrap looks for its child in /proc, so /proc must be of this PID namespace. Bubblewrap's own --proc
		// would do, but it covers parts, and then the kernel lets no user namespace within mount another.
		flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
		if err := syscall.Mount("proc", "/proc", "proc", flags, ""); err != nil {
			return fmt.Errorf("cannot mount /proc: %w", err)
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
