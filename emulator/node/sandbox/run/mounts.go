package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// A mount is staged by bubblewrap under the staging directory by its number in the list, and belongs at To.
type mount struct {
	Subpath  string `json:"subpath"` // of what is staged: only this directory appears at To
	To       string `json:"to"`
	ReadOnly bool   `json:"read_only"`
}

// What containerd's default specification makes read-only or hides of /proc.
var (
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	maskedPaths   = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	}
)

func mountAll(s *spec) error {
	for i, m := range s.Mounts {
		if err := place(filepath.Join(s.Stage, strconv.Itoa(i)), m); err != nil {
			return err
		}
	}
	if s.Stage != "" {
		if err := os.Remove(s.Stage); err != nil {
			return err
		}
	}
	if s.Terminals {
		if err := os.Mkdir("/dev/pts", 0o755); err != nil {
			return err
		}
		flags := uintptr(syscall.MS_NOSUID | syscall.MS_NOEXEC)
		if err := syscall.Mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,gid=5"); err != nil {
			return fmt.Errorf("mount devpts: %w", err)
		}
	}
	if err := protectProc(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Cwd, 0o755); err != nil {
		return fmt.Errorf("mkdir cwd: %w", err)
	}
	if s.ReadOnlyRoot {
		if err := syscall.Mount("", "/", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("remount / read-only: %w", err)
		}
	}
	return nil
}

// place binds what is staged, or one directory of it, where it belongs, and clears the stage.
func place(staged string, m mount) error {
	failed := func(err error) error {
		return fmt.Errorf("error mounting %q to rootfs at %q: %w", staged, m.To, err)
	}
	source := staged
	if m.Subpath != "" {
		fd, err := openBeneath(staged, m.Subpath)
		if err != nil {
			return failed(fmt.Errorf("openat %s: %w", m.Subpath, err))
		}
		defer syscall.Close(fd)
		source = "/proc/self/fd/" + strconv.Itoa(fd)
	}
	info, err := os.Stat(source)
	if err != nil {
		return failed(err)
	}
	if err := makeTarget(m.To, info.IsDir()); err != nil {
		return failed(err)
	}
	if err := syscall.Mount(source, m.To, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return failed(err)
	}
	if err := setFlags(m.To, m.ReadOnly); err != nil {
		return failed(err)
	}
	if err := syscall.Unmount(staged, syscall.MNT_DETACH); err != nil {
		return failed(err)
	}
	if err := os.Remove(staged); err != nil {
		return failed(err)
	}
	return nil
}

func makeTarget(path string, directory bool) error {
	if directory {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o755)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENXIO) {
		_, err = os.Lstat(path) // it exists, and that is enough
		return err
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// setFlags makes a mount `rw,relatime` or `ro,relatime`, without the nosuid and nodev that bubblewrap adds. Where the
// host's own mount has such flags, an ordinary user cannot clear them: then they stay.
func setFlags(path string, readOnly bool) error {
	flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND)
	if readOnly {
		flags |= syscall.MS_RDONLY
	}
	err := syscall.Mount("", path, "", flags, "")
	if !errors.Is(err, syscall.EPERM) {
		return err
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return err
	}
	// The flags of statfs(2) for nosuid, nodev and noexec have the values of those of mount(2).
	kept := uintptr(stat.Flags) & (syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
	return syscall.Mount("", path, "", flags|kept, "")
}

// openBeneath opens a path below a directory; neither .. nor a symbolic link leads out of it.
func openBeneath(directory, path string) (int, error) {
	const (
		openat2        = 437 // on every architecture
		resolveBeneath = 0x08
		resolveNoMagic = 0x02
		openPath       = 0x200000
	)
	dir, err := syscall.Open(directory, openPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(dir)
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	how := struct{ flags, mode, resolve uint64 }{openPath | syscall.O_CLOEXEC, 0, resolveBeneath | resolveNoMagic}
	fd, _, errno := syscall.Syscall6(openat2, uintptr(dir), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func protectProc() error {
	for _, path := range readOnlyPaths {
		err := syscall.Mount(path, path, "", syscall.MS_BIND|syscall.MS_REC, "")
		if err == nil {
			flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_RDONLY |
				syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
			err = syscall.Mount("", path, "", flags, "")
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	for _, path := range maskedPaths {
		err := syscall.Mount("/dev/null", path, "", syscall.MS_BIND, "")
		if errors.Is(err, syscall.ENOTDIR) {
			err = syscall.Mount("tmpfs", path, "tmpfs", syscall.MS_RDONLY, "size=0k")
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mask %s: %w", path, err)
		}
	}
	return nil
}

// check sees whether what bubblewrap has set up is what was asked for.
func check() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if !strings.Contains(string(mounts), " / / ") || os.Getpid() != 1 {
		return errors.New("the root file system or the process namespace is not the container's own")
	}
	return syscall.Mount("", "/", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
}
