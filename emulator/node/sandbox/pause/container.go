package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

type container struct {
	init int // the process that signals go to, as this PID namespace numbers it
}

// start runs a container and answers when its entrypoint runs or cannot, and again when it has ended. The request's
// descriptors are the log file and then those that the program finds from 3 on; the last one, which follows them, is
// where the program says that it has started, or why it could not.
func (p *pod) start(req request, files []*os.File) {
	ended, err := p.run(req, files)
	for _, file := range files {
		file.Close()
	}
	if err != nil {
		p.send(failure(req.ID, err))
		return
	}
	p.send(reply{ID: req.ID, Ended: ended})
}

func (p *pod) run(req request, files []*os.File) (*ended, error) {
	if len(files) == 0 || len(req.Argv) == 0 {
		return nil, errors.New("a start request needs a program and a log")
	}
	pipes, err := newPipes(2)
	if err != nil {
		return nil, err
	}
	defer pipes.close()
	stdout, stderr := pipes[0], pipes[1]
	status, reporting, err := newStatus()
	if err != nil {
		return nil, err
	}
	defer status.close()
	cmd := exec.Cmd{
		Path: req.Argv[0], Args: req.Argv, Env: []string{},
		Stdout: stdout.w, Stderr: stderr.w, ExtraFiles: append(files[1:], reporting),
	}
	if !req.Namespaced {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	err = cmd.Start()
	reporting.Close()
	stdout.w.Close()
	stderr.w.Close()
	if err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()

	// Nothing is copied to the log before the entrypoint runs: until then the error stream is bubblewrap's own.
	said, init := status.read(exited)
	if said != "started" {
		<-exited
		if said == "" {
			_ = stderr.r.SetReadDeadline(time.Now().Add(time.Second))
			complaint, _ := io.ReadAll(stderr.r)
			said = string(complaint)
		}
		return nil, errors.New(strings.TrimSpace(said))
	}
	p.mu.Lock()
	p.containers[req.ID] = &container{init: init}
	p.mu.Unlock()
	p.send(reply{ID: req.ID})

	var pumps sync.WaitGroup
	pumps.Add(2)
	go func() { defer pumps.Done(); pump("stdout", stdout.r, files[0]) }()
	go func() { defer pumps.Done(); pump("stderr", stderr.r, files[0]) }()
	<-exited
	p.mu.Lock()
	delete(p.containers, req.ID)
	p.mu.Unlock()
	if !req.Namespaced {
		// No PID namespace ended with the process: end its session, and do not wait for those who left it.
		_ = syscall.Kill(-init, syscall.SIGKILL)
		deadline := time.Now().Add(2 * time.Second)
		_ = stdout.r.SetReadDeadline(deadline)
		_ = stderr.r.SetReadDeadline(deadline)
	}
	pumps.Wait()
	return how(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// how says how a container ended. Bubblewrap passes its child's end on as a shell does, so 128 + n stands for a
// signal here too; containerd tells no more.
func how(status syscall.WaitStatus) *ended {
	switch code := status.ExitStatus(); {
	case status.Signaled():
		return &ended{Code: 128 + int(status.Signal()), Signal: int(status.Signal())}
	case code > 128 && code <= 128+64:
		return &ended{Code: code, Signal: code - 128}
	default:
		return &ended{Code: code}
	}
}

// signal sends a signal to a container's first process. A container that has ended is left alone.
func (p *pod) signal(req request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.containers[req.ID]; c != nil {
		_ = syscall.Kill(c.init, syscall.Signal(req.Signal))
	}
}

// killAll ends every container. Where pause is not the init process of a PID namespace, nothing else would.
func (p *pod) killAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.containers {
		if syscall.Kill(-c.init, syscall.SIGKILL) != nil {
			_ = syscall.Kill(c.init, syscall.SIGKILL)
		}
	}
}

type pipe struct{ r, w *os.File }

type pipes []pipe

func newPipes(n int) (pipes, error) {
	var made pipes
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			made.close()
			return nil, err
		}
		made = append(made, pipe{r, w})
	}
	return made, nil
}

func (p pipes) close() {
	for _, pipe := range p {
		pipe.r.Close()
		pipe.w.Close()
	}
}
