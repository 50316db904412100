// Package journal keeps the writes of a write-back loader in a file until the origin has
// them, so that they outlive the process:
//
//	j, err := journal.Open("/var/lib/app/users.journal")
//	…
//	defer j.Close() // after the loader
//	users, err := loader.New(c, loader.Config[User]{…, Write: loader.WriteBack, Back: loader.BackConfig[User]{Journal: j}})
//
// The file is a bbolt database; one process and one loader has it at a time. Writes that
// come together are made lasting together, by two fdatasyncs for all of them (bbolt's
// pages, then its head). The file takes as much room as the writes that were ever
// pending at once, twice at most, and does not shrink; its free pages are used again.
//
// After a failure of the disk nothing more is accepted until the file is opened again:
// what the kernel does with pages it could not write is not to be relied on.
package journal
