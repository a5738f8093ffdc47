// Steps does what its arguments say, one after the other, so that a test writes the program it needs as a list:
// "out:hello", "exit:3". See step for all of them.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	for _, argument := range os.Args[1:] {
		name, value, _ := strings.Cut(argument, ":")
		if err := step(name, value); err != nil {
			fmt.Println("error:", err)
		}
	}
}

func step(name, value string) error {
	switch name {
	case "out":
		fmt.Println(value)
	case "err":
		fmt.Fprintln(os.Stderr, value)
	case "unended":
		fmt.Print(value)
	case "long": // a line of so many bytes
		fmt.Println(strings.Repeat("x", number(value)))
	case "lines":
		for i := range number(value) {
			fmt.Printf("line %d\n", i)
		}
	case "exit":
		os.Exit(number(value))
	case "kill": // this very process, by signal number
		return syscall.Kill(os.Getpid(), syscall.Signal(number(value)))
	case "block":
		for {
			time.Sleep(time.Hour)
		}
	case "nap": // milliseconds
		time.Sleep(time.Duration(number(value)) * time.Millisecond)
	case "default": // no handler for this signal, where Go has one for all
		var action [4]uintptr
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number(value)),
			uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		if errno != 0 {
			return errno
		}
	case "await": // a signal, by number
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.Signal(number(value)))
		fmt.Println("awaiting")
		fmt.Println("got", <-signals)
	case "pid":
		fmt.Println(os.Getpid())
	case "cat":
		content, err := os.ReadFile(value)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(content)
		return err
	case "ls":
		entries, err := os.ReadDir(value)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			fmt.Println(entry.Name())
		}
	case "stat":
		info, err := os.Stat(value)
		if err != nil {
			return err
		}
		fmt.Println(info.Mode())
	case "write": // PATH=TEXT
		path, text, _ := strings.Cut(value, "=")
		return os.WriteFile(path, []byte(text), 0o644)
	case "open-write":
		file, err := os.OpenFile(value, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return file.Close()
	case "mknod":
		return syscall.Mknod(value, syscall.S_IFCHR|0o666, 1<<8|3)
	case "mem": // touch so many MiB
		memory := make([]byte, number(value)<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		fmt.Println("touched", len(memory))
	case "burn": // seconds of wall time; says how much processor time it got, in milliseconds
		end := time.Now().Add(time.Duration(number(value)) * time.Second)
		for time.Now().Before(end) {
		}
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			return err
		}
		fmt.Println((usage.Utime.Nano() + usage.Stime.Nano()) / 1_000_000)
	case "orphan": // a process that outlives the one that started it
		child := exec.Command("/proc/self/exe", "block")
		return child.Start()
	case "fds":
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		for _, entry := range entries {
			target, err := os.Readlink("/proc/self/fd/" + entry.Name())
			if err == nil && !strings.HasPrefix(target, "anon_inode") { // Go's own
				fmt.Println(entry.Name())
			}
		}
	case "serve": // ADDRESS: answer every connection, once its other half is closed, with what it sent
		listener, err := net.Listen("tcp", value)
		if err != nil {
			return err
		}
		fmt.Println("serving")
		for {
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer conn.Close()
				sent, _ := io.ReadAll(conn)
				host, _ := os.Hostname()
				fmt.Fprintf(conn, "%s got %d: %.20s", host, len(sent), sent)
			}()
		}
	case "get": // ADDRESS
		conn, err := net.DialTimeout("tcp", value, 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		answer, err := io.ReadAll(conn)
		fmt.Println(string(answer))
		return err
	default:
		return fmt.Errorf("cannot %q", name)
	}
	return nil
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
