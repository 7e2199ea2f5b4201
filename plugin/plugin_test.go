package plugin

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"postern/plugin/factorpb"
)

// Each error crosses the connection and is itself on the other side. What gRPC makes up
// by itself is never a verdict.
func TestErrorsCrossTheConnection(t *testing.T) {
	for _, s := range statuses {
		if got := FromStatus(toStatus(errors.Join(errors.New("context"), s.err))); !errors.Is(got, s.err) {
			t.Errorf("%v comes back as %v", s.err, got)
		}
	}
	byItself := []codes.Code{codes.Canceled, codes.Unknown, codes.DeadlineExceeded, codes.PermissionDenied, codes.ResourceExhausted,
		codes.Unimplemented, codes.Internal, codes.Unavailable, codes.Unauthenticated, codes.DataLoss}
	for _, code := range byItself {
		got := FromStatus(status.Error(code, "x"))
		for _, s := range statuses[:len(statuses)-1] {
			if errors.Is(got, s.err) || !errors.Is(got, ErrUnavailable) {
				t.Errorf("%v is %v", code, got)
			}
		}
	}
	if FromStatus(nil) != nil || toStatus(nil) != nil {
		t.Error("no error is one")
	}
	for _, err := range []error{errors.New("any"), context.DeadlineExceeded} {
		if !errors.Is(FromStatus(toStatus(err)), ErrUnavailable) {
			t.Errorf("%v is a verdict", err)
		}
	}
}

// What goes over is what comes out.
func TestConversionsBothWays(t *testing.T) {
	r := &Request{Purpose: Confirm, Account: Account{"id", "name", "domain"}, Records: []Record{{"a", []byte("b")}},
		Language: "de", Session: "s", Now: time.Unix(1, 0), Again: true, State: []byte("st"), Answer: "1"}
	if got := requestFromWire(r.ToWire()); !reflect.DeepEqual(got, r) {
		t.Errorf("%+v", got)
	}
	for _, q := range []*Question{
		{Prompt: Prompt{Title: "t", Text: "x", Field: &Field{Kind: Secret, Label: "l", Hint: "h", Digits: 8}, Again: true}, State: []byte("s"), Life: time.Minute},
		{Prompt: Prompt{Wait: 3 * time.Second}}, {Prompt: Prompt{Options: []Option{{"1", "one"}, {"2", "two"}}}},
	} {
		if got := QuestionFromWire(q.toWire()); !reflect.DeepEqual(got, q) {
			t.Errorf("%+v, want %+v", got, q)
		}
		v := &Verdict{Next: q}
		wire, err := v.toWire()
		if got, err2 := VerdictFromWire(wire); err != nil || err2 != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%+v, %v, %v", got, err, err2)
		}
	}
	for _, v := range []*Verdict{{Right: &Right{Record: "r", Mark: []byte("m")}}, {Enrolled: []byte("e")}} {
		wire, err := v.toWire()
		if got, err2 := VerdictFromWire(wire); err != nil || err2 != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%+v, %v, %v", got, err, err2)
		}
	}
	for _, nothing := range []*Verdict{nil, {}} {
		if _, err := nothing.toWire(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
	if _, err := VerdictFromWire(&factorpb.Verdict{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an empty verdict: %v", err)
	}
}

// The Go code is made of the protocol as it stands in factor.proto.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "set")
	if text, err := exec.CommandContext(t.Context(), "protoc", "-I", "factorpb", "-o", out, "factor.proto").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(set.GetFile()[0], protodesc.ToFileDescriptorProto(factorpb.File_factor_proto)) {
		t.Error("plugin/factorpb is stale; run: make generate")
	}
}
