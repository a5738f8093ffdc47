// Run is the first program in a container, its process 1: it finishes what bubblewrap began and becomes the
// container's entrypoint.
//
//	run FD        read a specification as JSON from descriptor FD and run it
//	run check     end with status 0 if what containers need works: the last step of asking the kernel
//
// Bubblewrap has made the namespaces and mounted the root file system, and every other mount under one staging
// directory. Run, which still has all capabilities there, puts the mounts where they belong, gives up what the
// container is not to have, and executes the entrypoint. It says "started" on the status descriptor just before, or
// why it cannot. Its texts are runc's, whose work it does.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

type spec struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Cwd  string   `json:"cwd"`

	UID          int   `json:"uid"`
	GID          int   `json:"gid"`
	Groups       []int `json:"groups"`       // absent: the group list cannot be set here
	Capabilities []int `json:"capabilities"` // the bounding set; root also has them

	Stage        string  `json:"stage"`
	Mounts       []mount `json:"mounts"`
	ReadOnlyRoot bool    `json:"read_only_root"`
	Terminals    bool    `json:"terminals"` // mount devpts

	Cgroups []int `json:"cgroups"` // descriptors of the cgroup.procs files to join
	Status  int   `json:"status"`

	// Root is where the root file system lies when there are no namespaces. Then nothing is mounted and the
	// identity stays.
	Root string `json:"root"`
}

func main() {
	// Capabilities and the credentials below belong to the thread; this one will execute the entrypoint.
	runtime.LockOSThread()
	if len(os.Args) != 2 {
		fatal(os.Stderr, fmt.Errorf("usage: run FD"))
	}
	if os.Args[1] == "check" {
		if err := check(); err != nil {
			fatal(os.Stderr, err)
		}
		return
	}
	s, err := read(os.Args[1])
	if err != nil {
		fatal(os.Stderr, err)
	}
	status := os.NewFile(uintptr(s.Status), "status")
	path, err := prepare(s)
	if err != nil {
		fatal(status, err)
	}
	if _, err := status.WriteString("started"); err != nil {
		fatal(os.Stderr, err)
	}
	err = syscall.Exec(path, s.Args, s.Env)
	fatal(os.Stderr, fmt.Errorf("exec %s: %w", s.Args[0], err))
}

func fatal(to *os.File, err error) {
	fmt.Fprintln(to, err)
	os.Exit(1)
}

func read(descriptor string) (*spec, error) {
	fd, err := strconv.Atoi(descriptor)
	if err != nil {
		return nil, fmt.Errorf("the specification's descriptor must be a number, not %q", descriptor)
	}
	s := new(spec)
	if err := json.NewDecoder(os.NewFile(uintptr(fd), "specification")).Decode(s); err != nil {
		return nil, fmt.Errorf("the specification is not JSON: %w", err)
	}
	return s, nil
}

// prepare does everything but execute, and returns the path of the program.
func prepare(s *spec) (string, error) {
	if len(s.Args) == 0 {
		return "", fmt.Errorf("args must not be empty")
	}
	if err := closeOnExec(); err != nil {
		return "", err
	}
	syscall.Umask(0o022)
	// Already the leader of a session when the emulator was started as one.
	if _, err := syscall.Setsid(); err != nil && err != syscall.EPERM {
		return "", fmt.Errorf("setsid: %w", err)
	}
	find := prepareInside
	if s.Root != "" {
		find = prepareOnHost
	}
	path, err := find(s)
	if err != nil {
		return "", err
	}
	// Last, so that what run itself needs does not count against a small limit.
	return path, joinCgroups(s.Cgroups)
}

// prepareInside finishes the namespaces and finds the entrypoint as runc does: as the container's user, on the
// container's PATH.
func prepareInside(s *spec) (string, error) {
	if err := mountAll(s); err != nil {
		return "", err
	}
	s.Env = withHome(s.Env, s.UID)
	if err := becomeUser(s); err != nil {
		return "", err
	}
	if err := os.Chdir(s.Cwd); err != nil {
		return "", fmt.Errorf("chdir to cwd (%q) set in config.json failed: %w", s.Cwd, err.(*os.PathError).Err)
	}
	if err := os.Setenv("PATH", variable(s.Env, "PATH")); err != nil {
		return "", err
	}
	return exec.LookPath(s.Args[0])
}

// prepareOnHost finds the program below the unpacked image, on the host itself.
func prepareOnHost(s *spec) (string, error) {
	if err := os.Chdir(filepath.Join(s.Root, s.Cwd)); err != nil {
		return "", err
	}
	if strings.Contains(s.Args[0], "/") {
		if filepath.IsAbs(s.Args[0]) {
			return exec.LookPath(filepath.Join(s.Root, s.Args[0]))
		}
		return exec.LookPath(s.Args[0])
	}
	directories := filepath.SplitList(variable(s.Env, "PATH"))
	for i, directory := range directories {
		directories[i] = filepath.Join(s.Root, directory)
	}
	if err := os.Setenv("PATH", strings.Join(directories, ":")); err != nil {
		return "", err
	}
	return exec.LookPath(s.Args[0])
}

// variable is the value of an environment variable; the last one wins, as in runc.
func variable(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if rest, found := strings.CutPrefix(entry, name+"="); found {
			value = rest
		}
	}
	return value
}

// withHome sets HOME as runc does where the container does not: the home directory that the image's /etc/passwd
// gives the user, or /.
func withHome(env []string, uid int) []string {
	if variable(env, "HOME") != "" {
		return env
	}
	home := "/"
	passwd, _ := os.ReadFile("/etc/passwd")
	for _, line := range strings.Split(string(passwd), "\n") {
		if fields := strings.Split(line, ":"); len(fields) >= 6 && fields[2] == strconv.Itoa(uid) {
			home = fields[5]
			break
		}
	}
	return append(env, "HOME="+home)
}

// closeOnExec keeps the descriptors that run was given from the entrypoint.
func closeOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// joinCgroups moves this process, and so all that it becomes, into the container's cgroups.
func joinCgroups(fds []int) error {
	for _, fd := range fds {
		if _, err := syscall.Write(fd, []byte("0")); err != nil {
			return fmt.Errorf("cannot join the container's cgroup: %w", err)
		}
	}
	return nil
}
