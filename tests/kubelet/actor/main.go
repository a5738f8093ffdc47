// Actor does in a container what its arguments say, one after the other: `print=TEXT`, `env=NAME`, `identity`,
// `read=PATH`, `write=PATH`, `link`, `exit=N`, `count=PATH` (exit 1 until the file has been counted to N lines),
// `wait` (until SIGTERM), `stubborn` (wait, whatever the signal), `serve=PORT` (GET /set?status=N decides the answers).
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	for _, argument := range os.Args[1:] {
		verb, value, _ := strings.Cut(argument, "=")
		switch verb {
		case "print":
			fmt.Println(value)
		case "env":
			fmt.Printf("%s=%s\n", value, os.Getenv(value))
		case "identity":
			groups, _ := os.Getgroups()
			line, _ := json.Marshal(map[string]any{"uid": os.Getuid(), "gid": os.Getgid(), "groups": groups})
			fmt.Println(string(line))
		case "read":
			content, err := os.ReadFile(value)
			report(err)
			fmt.Print(string(content))
		case "write":
			report(os.WriteFile(value, []byte("written"), 0o644))
		case "exit":
			code, _ := strconv.Atoi(value)
			os.Exit(code)
		case "wait":
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, syscall.SIGTERM)
			fmt.Println("waiting")
			<-signals
			fmt.Println("terminated")
		case "stubborn":
			signal.Ignore(syscall.SIGTERM)
			fmt.Println("waiting")
			for {
				time.Sleep(time.Hour)
			}
		case "serve":
			serve(value)
		default:
			fmt.Fprintln(os.Stderr, "unknown verb", verb)
			os.Exit(64)
		}
	}
}

func report(err error) {
	if err != nil {
		fmt.Println(err)
	}
}

func serve(port string) {
	var status atomic.Int64
	status.Store(200)
	http.HandleFunc("/set", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("status"))
		status.Store(int64(code))
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
	})
	fmt.Println(http.ListenAndServe(":"+port, nil))
}
