// Engine_naive is what bench/engine.py measures the engine against: it stats every entry, builds the whole tree in
// memory and then encodes it.
package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
)

type node struct {
	Name     string  `json:"name"`
	Path     string  `json:"path"`
	IsDir    bool    `json:"is_dir"`
	Children []*node `json:"children,omitempty"`
}

func build(root, relative string) (*node, error) {
	path := filepath.Join(root, relative)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	this := &node{Name: info.Name(), Path: filepath.Join("/", relative), IsDir: info.IsDir()}
	if !info.IsDir() {
		return this, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		child, err := build(root, filepath.Join(relative, entry.Name()))
		if err != nil {
			return nil, err
		}
		this.Children = append(this.Children, child)
	}
	sort.Slice(this.Children, func(i, j int) bool { return this.Children[i].Name < this.Children[j].Name })
	return this, nil
}

func main() {
	root := os.Getenv("CONTENT_PATH")
	http.HandleFunc("/tree", func(w http.ResponseWriter, _ *http.Request) {
		tree, err := build(root, "")
		if err != nil {
			http.Error(w, "failed to read content path: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(tree)
	})
	listener, err := net.Listen("tcp", os.Getenv("LISTEN"))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("serving %s on %s", root, listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
