package roundcube

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/account"
	"postern/internal/factor"
)

// php runs PHP without Roundcube.
func php(t testing.TB, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "php", args...)
	cmd.Stdin = strings.NewReader(input)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("php %s: %v\n%s%s", strings.Join(args, " "), err, out, complaints.Bytes())
	}
	return string(out)
}

// TestSyntax: PHP reads every file of the plug-in.
func TestSyntax(t *testing.T) {
	var files []string
	for _, pattern := range []string{"postern/*.php", "postern/*.dist", "postern/*/*.php", "postern/*/*.inc", "testdata/*.php"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		php(t, "", "-l", f)
	}
}

// TestUnits runs testdata/unit.php.
func TestUnits(t *testing.T) {
	php(t, "", "-d", "error_reporting=E_ALL", "-d", "display_errors=stderr", "testdata/unit.php")
}

var entry = regexp.MustCompile(`(?m)^\$(labels|messages)\['(\w+)'\]\s*= '(.+)';$`)

// texts are a language's, by key.
func texts(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range entry.FindAllStringSubmatch(string(content), -1) {
		all[m[1]+" "+m[2]] = m[3]
	}
	if lines := strings.Count(string(content), "\n$"); lines != len(all) {
		t.Errorf("%s: %d entries, %d different ones that a test can read", file, lines, len(all))
	}
	return all
}

// plugin is all of the plug-in's code.
func plugin(t *testing.T) []byte {
	t.Helper()
	files, err := filepath.Glob("postern/lib/*.php")
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, f := range append(files, "postern/postern.php") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, text...)
	}
	return code
}

// TestLanguages: each has all texts, none of them English, and the plug-in uses each.
func TestLanguages(t *testing.T) {
	english := texts(t, "postern/localization/en_US.inc")
	code := plugin(t)
	if len(english) < 10 {
		t.Fatal(english)
	}
	for key := range english {
		_, name, _ := strings.Cut(key, " ")
		if !regexp.MustCompile(`'(postern\.)?`+name+`'`).Match(code) && !strings.Contains(string(code), "postern."+name) {
			t.Errorf("nobody uses %s", key)
		}
	}
	for _, m := range regexp.MustCompile(`(?:gettext\('|'postern\.)([a-z]+)'`).FindAllStringSubmatch(string(code), -1) {
		if english["labels "+m[1]] == "" && english["messages "+m[1]] == "" {
			t.Errorf("no text for %s", m[1])
		}
	}
	for _, language := range []string{"de_DE", "fr_FR", "es_ES", "ru_RU"} {
		other := texts(t, "postern/localization/"+language+".inc")
		for key, text := range english {
			if other[key] == "" || other[key] == text {
				t.Errorf("%s: %s is missing", language, key)
			}
			delete(other, key)
		}
		if len(other) > 0 {
			t.Errorf("%s: too much: %v", language, other)
		}
	}
}

// TestComposer: the installer makes the plug-in's directory of the name's end.
func TestComposer(t *testing.T) {
	content, err := os.ReadFile("postern/composer.json")
	var c struct {
		Name, Type, License string
		Require             map[string]string
	}
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err != nil || c.Type != "roundcube-plugin" || !strings.HasSuffix(c.Name, "/postern") || c.Require["php"] == "" || c.License != "Apache-2.0" {
		t.Errorf("%v %+v", err, c)
	}
}

// TestShapes: the plug-in takes for a credential exactly what the mail servers do
// without looking into an account.
func TestShapes(t *testing.T) {
	all := []string{
		"abcd-2fgh-ijkl-3nop-qrst-4vwx-yzab", "ABCD 2FGH IJKL 3NOP QRST 4VWX YZAB", "Abcd2fghijkl3nopqrst4vwxyzab",
		"abcd‑2fgh–ijkl—3nop\u00a0qrst\u200b4vwx\u00adyzab", "abcd2fghijkl3nopqrst4vwxyz", "abcd2fghijkl3nopqrst4vwxy",
		"abcd2fghijkl3nopqrst4vwxyzabcd", "abcd2fghijkl3nopqrst4vwxyzabcde", "abcd-2fgh-ijkl-3nop-qrst-4vwx-yz1b",
		"abcd2fghijkl3nopqrst4vwxyz1b", "abcd-2fgh-ijkl-3nop-qrst-4v8x-0z1b", "aBcd2fghijkl3nopqrst4vwxyzab",
		"this is my long mail password", "correct horse battery staple", "ébcd-2fgh-ijkl-3nop-qrst-4vwx-yza", "pt1_x", "PT1_x",
		"", " ", "short", strings.Repeat("ab2-", 40), "abcd-2fgh-ijkl-3nop-qrst-4vwx-yzab\n", "\xff\xfeabcd-2fgh-ijkl-3nop-qrst-4vwx-yzab",
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // inputs of a test
	for range 5000 {
		all = append(all, mangle(random))
	}
	var in strings.Builder
	for _, s := range all {
		fmt.Fprintln(&in, hex.EncodeToString([]byte(s)))
	}
	credentials := 0
	for i, got := range strings.Fields(php(t, in.String(), "testdata/shape.php")) {
		want := factor.Classify(account.SecretString(all[i])).Shape != factor.Main
		if (got == "yes") != want {
			t.Errorf("%q: %s", all[i], got)
		}
		if want {
			credentials++
		}
	}
	if credentials < 500 || credentials > len(all)-500 {
		t.Errorf("%d of %d are credentials: the test tests little", credentials, len(all))
	}
}

// mangle is something like an app password.
func mangle(random *rand.Rand) string {
	n := 24 + random.IntN(8)
	var b strings.Builder
	for i := range n {
		if i > 0 && i%4 == 0 && random.IntN(3) > 0 {
			b.WriteString([]string{"-", " ", "–", "\t", "--"}[random.IntN(5)])
		}
		b.WriteByte("abcdefghijklmnopqrstuvwxyz234567"[random.IntN(32)])
	}
	s := []byte(b.String())
	for range random.IntN(4) {
		s[random.IntN(len(s))] = "0189XZ!b"[random.IntN(8)]
	}
	if random.IntN(4) == 0 {
		return strings.ToUpper(string(s))
	}
	return string(s)
}

// TestOptionsAreDescribed: config.inc.php.dist has every option that the code reads.
func TestOptionsAreDescribed(t *testing.T) {
	code := plugin(t)
	dist, err := os.ReadFile("postern/config.inc.php.dist")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern string, text []byte) []string {
		var all []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	read, described := names(`get\('(postern_\w+)'`, code), names(`(?m)^\$config\['(postern_\w+)'\]`, dist)
	if len(read) < 5 || !slices.Equal(read, described) {
		t.Errorf("read: %v\ndescribed: %v", read, described)
	}
}
