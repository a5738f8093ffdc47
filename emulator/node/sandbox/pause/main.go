// Pause is the first process of a pod. It holds the pod's network, IPC, UTS and PID namespaces, and does inside
// them what the emulator asks over one socket: start a container, signal it, connect to a port.
//
//	pause FD [ADDRESS]
//
// FD is one end of a pair of Unix sockets of type SOCK_SEQPACKET. ADDRESS, an IPv4 address, becomes the pod's own:
// it is added to the loopback device. Pause ends when the other end of the socket closes, and as the init process of
// the PID namespace it takes every process of the pod with it.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pause:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return fmt.Errorf("usage: pause FD [ADDRESS]")
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("the control descriptor must be a number, not %q", args[0])
	}
	syscall.CloseOnExec(fd)
	if len(args) == 2 {
		if err := addAddress(args[1]); err != nil {
			return fmt.Errorf("cannot give the loopback device the address %s: %w", args[1], err)
		}
	}
	if err := clearAmbient(); err != nil {
		return fmt.Errorf("cannot clear the ambient capabilities: %w", err)
	}
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
