package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"

	"github.com/boombuler/barcode/qr"
)

// printQR draws a QR code on a terminal, two rows of modules to a line. Light
// modules are drawn, which is right on dark terminals; cameras read both.
func printQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return fmt.Errorf("QR code: %w", err)
	}
	const quiet = 4 // modules of margin (ISO/IEC 18004 section 5.3.8)
	size := code.Bounds().Dx()
	light := func(x, y int) bool {
		return x < 0 || y < 0 || x >= size || y >= size || code.At(x, y) == color.White
	}
	var b bytes.Buffer
	b.WriteByte('\n')
	for y := -quiet; y < size+quiet; y += 2 {
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString(halfBlock(light(x, y), light(x, y+1)))
		}
		b.WriteByte('\n')
	}
	_, err = w.Write(b.Bytes())
	return err
}

func halfBlock(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	default:
		return " "
	}
}
