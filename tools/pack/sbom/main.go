// Command sbom writes the bill of materials of Go programs, in CycloneDX's JSON: the
// modules which the linker noted in them, with the versions and hashes of go.sum.
//
//	sbom VERSION PROGRAM... > postern.cdx.json
//
// The time in it is that of SOURCE_DATE_EPOCH, so that the same source gives the same
// bytes.
package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: sbom VERSION PROGRAM...")
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	bom := cyclonedx.NewBOM()
	product := cyclonedx.Component{BOMRef: "postern", Type: cyclonedx.ComponentTypeApplication, Name: "postern", Version: args[0]}
	bom.Metadata = &cyclonedx.Metadata{Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339), Component: &product}
	parts := map[string]cyclonedx.Component{}
	var programs []cyclonedx.Component
	var uses []cyclonedx.Dependency
	for _, path := range args[1:] {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		programs = append(programs, cyclonedx.Component{BOMRef: name, Type: cyclonedx.ComponentTypeApplication, Name: name, Version: args[0]})
		refs := modules(info, parts)
		uses = append(uses, cyclonedx.Dependency{Ref: name, Dependencies: &refs})
	}
	all := slices.Concat(programs, slices.SortedFunc(maps.Values(parts), func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) }))
	bom.Components, bom.Dependencies = &all, &uses
	return cyclonedx.NewBOMEncoder(out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

// modules adds what a program consists of to parts, and returns the references.
func modules(info *buildinfo.BuildInfo, parts map[string]cyclonedx.Component) []string {
	list := []*debug.Module{{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	refs := []string{}
	for _, m := range append(list, info.Deps...) {
		if m.Replace != nil {
			m = m.Replace
		}
		url := "pkg:golang/" + m.Path + "@" + m.Version
		c := cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url}
		// go.sum's "h1:" is the SHA-256 over the hashes of the module's files.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
			c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
		}
		parts[url], refs = c, append(refs, url)
	}
	slices.Sort(refs)
	return refs
}
