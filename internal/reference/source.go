package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// code is the source of the programs, without the tests.
type code struct {
	files []*ast.File
}

func parse(source string) (code, error) {
	var c code
	set := token.NewFileSet()
	for _, dir := range []string{"internal", "ldapstore", "policyserver", "webhook"} {
		err := filepath.WalkDir(filepath.Join(source, dir), func(path string, d fs.DirEntry, err error) error { //nolint:gosec // the clone that the Makefile names
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "mailtest"):
				return filepath.SkipDir
			case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			f, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
			c.files = append(c.files, f)
			return err
		})
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// constant is one of a closed set: its value, and what its comment says.
type constant struct{ value, doc string }

// constants are those of a type, in the order of the source.
func (c code) constants(pkg, typeName string) []constant {
	var list []constant
	for _, f := range c.files {
		if f.Name.Name != pkg {
			continue
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v, ok := s.(*ast.ValueSpec)
				if id, named := v.Type.(*ast.Ident); ok && named && id.Name == typeName && len(v.Values) == 1 {
					list = append(list, constant{literal(v.Values[0]), comment(v.Comment, own(v))})
				}
			}
		}
	}
	return list
}

// own is the comment above a constant if it is about this one, and not a heading of
// those that follow.
func own(v *ast.ValueSpec) *ast.CommentGroup {
	if strings.HasPrefix(v.Doc.Text(), v.Names[0].Name+" ") {
		return v.Doc
	}
	return nil
}

// designs are references to rows of the design.
var designs = regexp.MustCompile(` ?\(?(ATTACKS \d+|\b[A-Z]\d{1,2}\b)\)?`)

// comment is the text of the first comment that there is, without references to rows of
// the design.
func comment(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if text := strings.TrimSpace(g.Text()); text != "" {
			return strings.TrimSpace(designs.ReplaceAllString(strings.ReplaceAll(text, "\n", " "), ""))
		}
	}
	return ""
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		if s, err := strconv.Unquote(l.Value); err == nil {
			return s
		}
	}
	return ""
}

// structFields are the fields of a struct type by their names in JSON.
func (c code) structFields(pkg, name string) []constant {
	var list []constant
	for _, f := range c.files {
		if f.Name.Name != pkg {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != name {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			for _, field := range s.Fields.List {
				if json := jsonName(field); json != "" {
					list = append(list, constant{json, comment(field.Comment, field.Doc)})
				}
			}
			return false
		})
	}
	return list
}

func jsonName(f *ast.Field) string {
	if f.Tag == nil {
		return ""
	}
	_, tag, _ := strings.Cut(f.Tag.Value, `json:"`)
	name, _, _ := strings.Cut(strings.TrimSuffix(tag, "\"`"), ",")
	return strings.Trim(name, "-")
}

// auditLog is the audit log: fields of a line, actions, reasons.
func auditLog(c code) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# The audit log\n\nOne JSON object a line, for each decision and each committed change; no secrets. Where it goes: `[audit]` of\n" +
		"[postern.toml](config.md). What reasons mean for users, and which doors say what: [Protocols](../protocols.md).\n")
	for _, part := range []struct {
		title string
		list  []constant
	}{
		{"Fields", c.structFields("effect", "Event")},
		{"Actions", c.constants("effect", "Action")},
		{"Reasons", c.constants("login", "Reason")},
	} {
		if len(part.list) == 0 {
			return nil, errors.New("the source declares no " + part.title)
		}
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		for _, v := range part.list {
			text := "- `" + v.value + "`"
			if v.doc != "" {
				text += ": " + v.doc
			}
			b.WriteString(text + "\n")
		}
	}
	return b.Bytes(), nil
}
