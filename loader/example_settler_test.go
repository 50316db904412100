package loader_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
)

// A journal's Forget strikes a record out with the next commit; Settle waits for it.
func ExampleSettler() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(filepath.Join(dir, "users.journal"))
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	written := []loader.Record{{Key: "user:42", Value: []byte("Ada")}}
	if err := j.Append(written); err != nil {
		log.Fatal(err)
	}
	j.Forget(written[0]) // the origin has it
	var s loader.Settler = j
	fmt.Println(s.Settle("user:42"), j.Stats().Commits, "commits")
	// Output: <nil> 2 commits
}
