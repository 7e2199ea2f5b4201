package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"postern/internal/account"
)

// notes is the file of --resume: the accounts that a run has finished. Its first line
// says which command it belongs to. A nil notes keeps none.
type notes struct {
	file *os.File
	done map[account.ID]bool
}

const notesHead = "# posternctl "

func openNotes(path, title string) (*notes, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // as the comment says
	}
	n := &notes{done: make(map[account.ID]bool)}
	known, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	if len(known) > 0 {
		if err := n.read(string(known), title); err != nil {
			return nil, fmt.Errorf("--resume: %s %w", path, err)
		}
	}
	n.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil && len(known) == 0 {
		_, err = fmt.Fprintln(n.file, notesHead+title)
	}
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	return n, nil
}

func (n *notes) read(text, title string) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Scan()
	if lines.Text() != notesHead+title {
		return errors.New("was not written by this command with these arguments; name another file")
	}
	for lines.Scan() {
		id, _, ok := strings.Cut(lines.Text(), "\t")
		if ok { // not a line that was cut off
			n.done[account.ID(id)] = true
		}
	}
	return lines.Err()
}

func (n *notes) has(id account.ID) bool { return n != nil && n.done[id] }

func (n *notes) add(t target) error {
	if n == nil {
		return nil
	}
	_, err := fmt.Fprintf(n.file, "%s\t%s\n", t.id, t.name)
	return err
}

func (n *notes) close() {
	if n != nil {
		_ = n.file.Close() // every line was written by itself
	}
}
