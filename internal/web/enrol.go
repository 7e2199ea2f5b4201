package web

import (
	"time"

	"postern/internal/account"
)

// EnrolChoose begins enrolment: which method.
type EnrolChoose struct {
	Common
	Duty
	Methods []Method // allowed by policy: TOTP, Passkey
	More    bool     // the account has a factor already: this adds one
	Cancel  string   // path of where Cancel leads; empty: no Cancel (Duty)
}

func (*EnrolChoose) view() (string, string) { return "enrol", "enrol_title" }

// EnrolToken asks for the one-time token that an administrator handed out, after a
// reset or where the site wants proof of identity.
type EnrolToken struct {
	Common
	Duty
}

func (*EnrolToken) view() (string, string) { return "enroltoken", "enroltoken_title" }

// EnrolTOTP shows a new authenticator's key and asks for its first code.
type EnrolTOTP struct {
	Common
	Duty
	URI    account.Secret // otpauth:, what the QR code holds
	Key    account.Secret // base32, shown in groups of four
	Digits int            // 0: 6
	Name   string         // FieldName, kept or suggested
	More   bool           // the account has a factor already
	Cancel string
	// Apps: app passwords are allowed, and mail programs will need them from now on.
	Apps bool
}

func (*EnrolTOTP) view() (string, string) { return "enroltotp", "enroltotp_title" }

// EnrolPasskey adds a passkey or security key.
type EnrolPasskey struct {
	Common
	Duty
	// Options is the JSON of PublicKeyCredentialCreationOptions (WebAuthn level 3,
	// section 5.1.8).
	Options string
	Name    string
	More    bool
	Cancel  string
	Apps    bool
}

func (*EnrolPasskey) view() (string, string) { return "enrolpasskey", "enrolpasskey_title" }

// BackupCodes shows new backup codes, once. Render it as the answer to a POST.
type BackupCodes struct {
	Common
	Duty
	Codes []account.Secret
	Fresh bool // they replace older ones, which are void now
	Steps bool // part of an enrolment: shows how far it is
	// Created is on the page and on paper, to tell these codes from others; zero: is not.
	Created time.Time
}

func (*BackupCodes) view() (string, string) { return "backupcodes", "backupcodes_title" }

// EnrolDone ends an enrolment in the middle of signing in.
type EnrolDone struct {
	Common
	Apps bool // tell where app passwords are made
	// Known is until when known devices keep the main password; zero: there are none.
	Known time.Time
}

func (*EnrolDone) view() (string, string) { return "enroldone", "enroldone_title" }
