package plugin

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"postern/internal/factor"
	"postern/internal/mailtest"
	"postern/plugin/factorpb"
)

// The protocol is not Go's: a plug-in in Python, with nothing but grpcio and what protoc
// makes of factor.proto, is a factor as any other. Nobody else can connect to it.
func TestA15_PluginInPython(t *testing.T) {
	mailtest.Long(t)
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/coin.py")
	must(t, err)
	path := filepath.Join(dir, "coin.py")
	must(t, os.WriteFile(path, script, 0o755))
	out, err := exec.CommandContext(t.Context(), "protoc", "-I", "../../plugin/factorpb", "--python_out="+dir, "factor.proto").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := config(t, path)
	c.StartTimeout = time.Minute
	h := prepare(t, c).run().up()
	r, prompt := h.begin(asks(owner(t, "alice@example.test", "coin"), factor.Login))
	if prompt.Text != "Kopf oder Zahl?" || len(prompt.Options) != 2 {
		t.Errorf("%+v", prompt)
	}
	right, err := h.answer(r, "heads")
	if err != nil || right.Proof.ID != "own0" {
		t.Errorf("%+v, %v", right, err)
	}
	if _, err := h.answer(r, "tails"); !errors.Is(err, factor.ErrWrong) {
		t.Errorf("%v", err)
	}
	if _, err := h.answer(r, "edge"); !errors.Is(err, factor.ErrForm) {
		t.Errorf("%v", err)
	}
	e, _ := h.begin(asks(owner(t, "bob@example.test"), factor.Enrol))
	if done, err := h.answer(e, "heads"); err != nil || len(done.Record.Body) == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	h.strangers()
}

var listens = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// strangers tries the plug-in's port without the webhook's certificate.
func (h *host) strangers() {
	h.t.Helper()
	addr := h.current().handle.ReattachConfig().Addr.String()
	if !listens.MatchString(addr) {
		h.t.Fatalf("it listens on %s", addr)
	}
	plain, err := net.Dial("tcp", addr)
	must(h.t, err)
	plain.Close()
	c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(h.t, err)
	defer c.Close()
	if _, err := factorpb.NewFactorClient(c).Describe(h.t.Context(), &factorpb.DescribeRequest{}); err == nil || strings.Contains(err.Error(), "Unimplemented") {
		h.t.Errorf("a stranger is answered: %v", err)
	}
}
