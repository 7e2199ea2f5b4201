#include "textflag.h"

#define SYS_arch_prctl 158
#define SYS_exit_group 231
#define ARCH_SET_FS 0x1002

// early is where the kernel enters the program if it was linked with
// -ldflags "-E main.early". It gives Go code the little that compiled functions
// expect of the runtime: a thread-local slot at -8(FS) which holds the current
// g, and that g, all zero. A zero g.stackguard0 means that no stack check ever
// asks for more stack; the kernel's is 8 MB and we need less than 16 kB.
//
// If boot wants an ordinary start, everything is as the kernel left it and
// Go's own entry point takes over.
TEXT ·early(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, BX
	MOVQ	$ARCH_SET_FS, DI
	LEAQ	·earlyTLS+8(SB), SI
	MOVQ	$SYS_arch_prctl, AX
	SYSCALL
	LEAQ	·earlyG(SB), R14
	MOVQ	R14, ·earlyTLS(SB)
	ANDQ	$~15, SP
	SUBQ	$32, SP
	MOVQ	BX, 24(SP)
	MOVQ	BX, 0(SP)
	CALL	·boot(SB)
	MOVQ	8(SP), DI
	MOVQ	24(SP), SP
	CMPQ	DI, $0
	JLT	ordinary
	MOVQ	$SYS_exit_group, AX
	SYSCALL
ordinary:
	JMP	_rt0_amd64_linux(SB)

GLOBL ·earlyTLS(SB), NOPTR, $16
GLOBL ·earlyG(SB), NOPTR, $1024
