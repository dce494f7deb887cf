package logs

import (
	"fmt"
	"os"
	"strings"

	"bouncefeed/internal/event"
)

// matrixCase is one thing that happens to a log. Unless it says otherwise: nothing lost, nothing doubled, in order, no gap.
type matrixCase struct {
	name   string
	gaps   string // "0" if empty
	late   bool   // lines are written to the old file after the new one has some: those may come out of order
	window bool
	do     func(w *world)
}

var lossMatrix = []matrixCase{
	{name: "no rotation", do: func(w *world) { w.write(100) }},
	{name: "rename and create", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.rotate()
		w.write(50)
	}},
	{name: "rename and create, three times at once", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		for range 3 {
			w.rotate()
			w.write(20)
		}
	}},
	{name: "rename, nothing created until the next line", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.shift()
		w.write(20)
		w.caughtUp()
		w.create()
		w.write(20)
	}},
	{name: "rename, writer stays (rsyslog until HUP)", do: func(w *world) {
		w.write(50)
		w.shift()
		old := w.out
		w.create()
		fresh := w.out
		w.out = old
		for range 20 {
			w.write(3)
			w.await(len(w.written) - 10)
		}
		w.out = fresh
		w.write(20)
	}},
	{name: "late lines in the old file, long after", late: true, do: func(w *world) {
		w.write(50)
		w.shift()
		old := w.out
		w.create()
		w.write(20)
		w.caughtUp()
		w.out, old = old, w.out
		w.write(20)
		w.caughtUp()
		w.out = old
		w.write(5)
	}},
	{name: "late lines in the old file while down", late: true, do: func(w *world) {
		w.write(50)
		w.shift()
		old := w.out
		w.create()
		w.write(20)
		w.caughtUp()
		w.stop()
		w.out, old = old, w.out
		w.write(20)
		w.out = old
		w.write(5)
		w.start()
	}},
	{name: "late lines in the old file, then compressed, while down", late: true, do: func(w *world) {
		w.write(50)
		w.shift()
		old := w.out
		w.create()
		w.write(20)
		w.caughtUp()
		w.stop()
		w.out, old = old, w.out
		w.write(20)
		w.gzip(".1")
		w.out = old
		w.write(5)
		w.start()
	}},
	{name: "both files written without end (no HUP, two writers)", late: true, do: func(w *world) {
		w.write(50)
		w.shift()
		old := w.out
		w.create()
		for range 200 {
			w.write(1)
			w.out, old = old, w.out
			w.await(len(w.written) - 100)
		}
		w.caughtUp()
	}},
	{name: "copytruncate", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
		w.write(10)
	}},
	{name: "copytruncate with unread lines", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(50)
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
		w.write(10)
		w.start()
	}},
	{name: "copytruncate and regrown past the offset, while down", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(50)
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
		w.write(500)
		w.start()
	}},
	{name: "copytruncate twice with compression, while down", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(50)
		w.copyTo(".2")
		w.gzip(".2")
		w.must(os.Truncate(w.path, 0))
		w.write(60)
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
		w.write(70)
		w.start()
	}},
	{name: "copytruncate of a file first seen empty, while down", do: func(w *world) {
		w.stop()
		w.write(50)
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
		w.write(10)
		w.start()
	}},
	{name: "copytruncate, writer without O_APPEND (sparse)", do: func(w *world) {
		f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
		w.must(err)
		w.out.Close()
		w.out = f
		w.write(300)
		w.caughtUp()
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
		w.write(300)
	}},
	{name: "copytruncate, lines in its window", window: true, gaps: "any", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(10)
		w.copyTo(".1")
		w.write(10)
		for _, l := range w.written[60:] {
			w.window[l] = true
		}
		w.must(os.Truncate(w.path, 0))
		w.write(10)
		w.start()
	}},
	{name: "truncated, all read", gaps: "1", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.must(os.Truncate(w.path, 0))
		w.write(10)
	}},
	{name: "truncated and regrown past the offset", gaps: "1", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.must(os.Truncate(w.path, 0))
		w.write(200)
		w.start()
	}},
	{name: "deleted, then created", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.must(os.Remove(w.path))
		w.write(10)
		w.caughtUp()
		w.create()
		w.write(10)
	}},
	{name: "deleted and created while down, all read", gaps: "1", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.must(os.Remove(w.path))
		w.create()
		w.write(10)
		w.start()
	}},
	{name: "inode reuse while down", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(20)
		w.copyTo(".1")
		w.must(os.Remove(w.path)) // the next file usually gets its inode
		w.create()
		w.write(300)
		w.start()
	}},
	{name: "symlink swap", do: func(w *world) {
		w.must(os.Rename(w.path, w.dir+"/a"))
		w.must(os.Symlink("a", w.path))
		w.write(50)
		w.caughtUp()
		w.write(10)
		w.must(os.Remove(w.path))
		w.must(os.Symlink("b", w.path))
		w.create()
		w.write(10)
		w.caughtUp()
		w.must(os.Remove(w.path))
		w.must(os.Symlink("a", w.path)) // and back
		w.create()
		w.write(10)
	}},
	{name: "symlink swap while down", do: func(w *world) {
		w.must(os.Rename(w.path, w.dir+"/a"))
		w.must(os.Symlink("a", w.path))
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(10)
		w.must(os.Remove(w.path))
		w.must(os.Symlink("b", w.path))
		w.create()
		w.write(10)
		w.start()
	}},
	{name: "several rotations while down: .1 .2.gz .3.gz", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		for range 4 {
			w.write(30)
			w.rotate()
		}
		w.write(7)
		w.start()
	}},
	{name: "several rotations while down: dateext", do: func(w *world) { downDated(w, "-202611%02d", false) }},
	{name: "several rotations while down: dateext, compressed", do: func(w *world) { downDated(w, "-202611%02d", true) }},
	{name: "several rotations while down: dateformat with seconds", do: func(w *world) { downDated(w, "-202611%02d-1234567", true) }},
	{name: "several rotations while down: postlogd", do: func(w *world) { downDated(w, ".202611%02d-120000", true) }},
	{name: "several rotations while down: .xz and .zst", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(10)
		w.shift()
		w.create()
		w.write(10)
		w.must(os.Rename(w.path+".1", w.path+".2"))
		w.compress("xz", ".2")
		w.must(os.Rename(w.path, w.path+".1"))
		w.compress("zstd", ".1")
		w.create()
		w.write(10)
		w.start()
	}},
	{name: "rotated to a name of the admin's own while down", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(10)
		w.must(os.Rename(w.path, w.dir+"/saved by me"))
		w.create()
		w.write(10)
		w.start()
	}},
	{name: "rotation while working off a backlog", do: func(w *world) {
		w.stop()
		w.pad = 1000
		w.write(15000)
		turn := make(chan bool)
		w.sink.before = func([]event.Record) error {
			turn <- true
			<-turn
			return nil
		}
		w.start()
		for range 3 {
			<-turn
			w.rotate()
			w.write(100)
			turn <- true
		}
		<-turn
		w.sink.before = nil
		turn <- true
	}},
	{name: "Commit refused now and then, rotated meanwhile", do: func(w *world) {
		n := 0
		w.hook(func() {
			w.sink.before = func([]event.Record) error {
				if n++; n%3 == 0 {
					return errRefusedCommit
				}
				return nil
			}
		})
		for i := range 10 {
			w.write(20)
			w.await(len(w.written) - 30)
			if i%3 == 0 {
				w.rotate()
			}
		}
	}},
	{name: "Commit stored but its answer lost", do: func(w *world) {
		n := 0
		w.hook(func() {
			w.sink.after = func() error {
				if n++; n%2 == 0 {
					return errRefusedCommit
				}
				return nil
			}
		})
		for range 10 {
			w.write(20)
			w.caughtUp()
		}
	}},
	{name: "EACCES, then allowed", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.write(10)
		w.must(os.Chmod(w.path, 0))
		unprivileged(w)
		w.start()
		w.eventually("waiting", func() bool { return strings.Contains(w.input.Report().Problem, "permission denied") })
		w.must(os.Chmod(w.path, 0o644))
		w.write(10)
	}},
	{name: "the position's file is gone", gaps: "1", do: func(w *world) {
		w.write(50)
		w.caughtUp()
		w.stop()
		w.rotate()
		w.write(20)
		w.rotate()
		w.write(20)
		w.must(os.Remove(w.path + ".2.gz"))
		w.start()
	}},
	{name: "a FIFO and a directory among the neighbours", do: func(w *world) {
		mkfifo(w, w.path+".2")
		w.must(os.Mkdir(w.path+".3", 0o755))
		w.write(50)
		w.caughtUp()
		w.must(os.Rename(w.path, w.path+".1"))
		w.create()
		w.write(10)
	}},
	{name: "the old file's last line without LF", do: func(w *world) {
		w.write(50)
		l := w.line()
		_, err := w.out.WriteString(l)
		w.must(err)
		w.written = append(w.written, l)
		w.rotate()
		w.write(10)
	}},
}

func downDated(w *world, format string, gz bool) {
	w.write(50)
	w.caughtUp()
	w.stop()
	for day := 1; day <= 4; day++ {
		w.write(30)
		suffix := fmt.Sprintf(format, day)
		w.must(os.Rename(w.path, w.path+suffix))
		if gz {
			w.gzip(suffix)
		}
		w.create()
	}
	w.write(7)
	w.start()
}
