// Package journal keeps the writes of a write-back loader in a file until the origin has
// them, so that they outlive the process:
//
//	j, err := journal.Open("/var/lib/app/users.journal")
//	…
//	defer j.Close() // after the loader
//	users, err := loader.New(c, loader.Config[User]{…, Write: loader.WriteBack, Back: loader.BackConfig[User]{Journal: j}})
//
// The file is a log; one process and one loader has it at a time. Writes that come together are one commit: they are
// made lasting together, by one fdatasync for all of them. What is pending is copied within the file, and the room of
// everything else used again, when half of a stretch of the file is settled: a stretch has 4 MiB, or twice what is pending at its beginning, and there
// are two, so that the file has 8 MiB, or four times as much as is pending at once, and becomes shorter again.
//
// A crash, of the process or of the machine, at any moment leaves everything that was accepted, and what was being
// accepted wholly or not at all. Open writes what is pending anew, for which the file, or else the disk, needs as much room again.
// A file that goes bad later is refused, not misread; only where the last commit before a crash
// goes bad is that not to be known from a commit that the crash has cut.
//
// After a failure of the disk nothing more is accepted until the file is opened again:
// what the kernel does with pages it could not write is not to be relied on.
package journal
