#include "textflag.h"

// What Sigmoid in portable.go names and explains, and a one.
DATA ·power+0(SB)/4, $0xbfb8aa3b // −log₂e
DATA ·power+4(SB)/4, $0x42700000 // maxPower
DATA ·power+8(SB)/4, $0xc2700000 // −maxPower
DATA ·power+12(SB)/4, $0x3aaec3ff // c5
DATA ·power+16(SB)/4, $0x3c1d955b // c4
DATA ·power+20(SB)/4, $0x3d635847 // c3
DATA ·power+24(SB)/4, $0x3e75fdf0 // c2
DATA ·power+28(SB)/4, $0x3f317218 // c1
DATA ·power+32(SB)/4, $0x3f800000 // 1
GLOBL ·power(SB), RODATA|NOPTR, $36

// ROW makes reg the address of row number n of the matrix at base; DX is the stride.
#define ROW(number, base, reg) \
	MOVLQSX number, reg \
	IMULQ DX, reg \
	ADDQ base, reg

// SUM4 adds up each of a, b, c and d over its eight values, and leaves the four sums in xa; y and x are one spare
// register.
#define SUM4(a, b, c, d, xa, y, x) \
	VHADDPS b, a, a \
	VHADDPS d, c, c \
	VHADDPS c, a, a \
	VEXTRACTF128 $1, a, x \
	VADDPS x, xa, xa

// PULL makes rate·(label − sigmoid(a)) of a, with b as a spare, Y14 the labels and Y15 the rates.
#define PULL(a, b) \
	VBROADCASTSS ·power+0(SB), Y13 \
	VMULPS Y13, a, a \
	VBROADCASTSS ·power+4(SB), Y13 \
	VMINPS Y13, a, a \
	VBROADCASTSS ·power+8(SB), Y13 \
	VMAXPS Y13, a, a \
	VROUNDPS $0, a, b \
	VSUBPS b, a, a \
	VCVTPS2DQ b, b \
	VPSLLD $23, b, b \
	VBROADCASTSS ·power+12(SB), Y12 \
	VBROADCASTSS ·power+16(SB), Y13 \
	VFMADD213PS Y13, a, Y12 \
	VBROADCASTSS ·power+20(SB), Y13 \
	VFMADD213PS Y13, a, Y12 \
	VBROADCASTSS ·power+24(SB), Y13 \
	VFMADD213PS Y13, a, Y12 \
	VBROADCASTSS ·power+28(SB), Y13 \
	VFMADD213PS Y13, a, Y12 \
	VBROADCASTSS ·power+32(SB), Y13 \
	VFMADD213PS Y13, a, Y12 \
	VPADDD b, Y12, Y12 \
	VADDPS Y13, Y12, Y12 \
	VDIVPS Y12, Y13, Y12 \
	VSUBPS Y12, Y14, Y12 \
	VMULPS Y15, Y12, a

// MULTIPLY adds to two sums the products of eight values of a target with those of two looked-from rows.
#define MULTIPLY(target, sum, other) \
	VMOVUPS (target)(R14*1), Y14 \
	VFMADD231PS Y14, Y12, sum \
	VFMADD231PS Y14, Y13, other

// MOVE adds a pull's share of a target to the new looked-from values in Y13, and its share of the old ones, in Y12,
// to what the target changes by.
#define MOVE(at, spare, target, change) \
	VBROADCASTSS at(DI), spare \
	VFMADD231PS spare, target, Y13 \
	VFMADD231PS spare, Y12, change

// CHANGE writes what a target changes by.
#define CHANGE(target, change) \
	VADDPS (target)(R14*1), change, change \
	VMOVUPS change, (target)(R14*1)

// func stepAVX2(in, out *float32, stride int, from *int32, n int, to *[Targets]int32, label, rate *[Lane]float32, pulls *float32)
//
// First the pulls, two looked-from rows at a time, so that each load of a target serves two; then both matrices,
// eight columns at a time. A line of pulls has six values; the place of the other two keeps, as a number of bytes,
// where the looked-from row begins.
TEXT ·stepAVX2(SB), NOSPLIT, $0-72
	MOVQ in+0(FP), BX
	MOVQ out+8(FP), AX
	MOVQ stride+16(FP), DX
	MOVQ to+40(FP), CX
	ROW(0(CX), AX, R8)
	ROW(4(CX), AX, R9)
	ROW(8(CX), AX, R10)
	ROW(12(CX), AX, R11)
	ROW(16(CX), AX, R12)
	ROW(20(CX), AX, R13)
	MOVQ from+24(FP), SI
	MOVQ n+32(FP), CX
	MOVQ pulls+64(FP), DI

two:
	CMPQ CX, $2
	JLT one
	ROW(0(SI), BX, AX)
	ROW(4(SI), BX, R15)
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	XORQ R14, R14

twoDots:
	VMOVUPS (AX)(R14*1), Y12
	VMOVUPS (R15)(R14*1), Y13
	MULTIPLY(R8, Y0, Y6)
	MULTIPLY(R9, Y1, Y7)
	MULTIPLY(R10, Y2, Y8)
	MULTIPLY(R11, Y3, Y9)
	MULTIPLY(R12, Y4, Y10)
	MULTIPLY(R13, Y5, Y11)
	ADDQ $32, R14
	CMPQ R14, DX
	JLT twoDots

	SUM4(Y0, Y1, Y2, Y3, X0, Y12, X12)
	SUM4(Y6, Y7, Y8, Y9, X6, Y13, X13)
	SUM4(Y4, Y5, Y10, Y11, X4, Y14, X14)
	VINSERTF128 $1, X4, Y0, Y0
	VPERMILPS $0xee, X4, X4
	VINSERTF128 $1, X4, Y6, Y6
	MOVQ label+48(FP), R14
	VMOVUPS (R14), Y14
	MOVQ rate+56(FP), R14
	VMOVUPS (R14), Y15
	PULL(Y0, Y1)
	PULL(Y6, Y7)
	VMOVUPS Y0, (DI)
	VMOVUPS Y6, 32(DI)
	SUBQ BX, AX
	SUBQ BX, R15
	MOVQ AX, 24(DI)
	MOVQ R15, 56(DI)
	ADDQ $8, SI
	ADDQ $64, DI
	SUBQ $2, CX
	JMP two

one:
	TESTQ CX, CX
	JZ update
	ROW(0(SI), BX, AX)
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	XORQ R14, R14

oneDots:
	VMOVUPS (AX)(R14*1), Y12
	VFMADD231PS (R8)(R14*1), Y12, Y0
	VFMADD231PS (R9)(R14*1), Y12, Y1
	VFMADD231PS (R10)(R14*1), Y12, Y2
	VFMADD231PS (R11)(R14*1), Y12, Y3
	VFMADD231PS (R12)(R14*1), Y12, Y4
	VFMADD231PS (R13)(R14*1), Y12, Y5
	ADDQ $32, R14
	CMPQ R14, DX
	JLT oneDots

	SUM4(Y0, Y1, Y2, Y3, X0, Y12, X12)
	SUM4(Y4, Y5, Y6, Y7, X4, Y13, X13)
	VINSERTF128 $1, X4, Y0, Y0
	MOVQ label+48(FP), R14
	VMOVUPS (R14), Y14
	MOVQ rate+56(FP), R14
	VMOVUPS (R14), Y15
	PULL(Y0, Y1)
	VMOVUPS Y0, (DI)
	SUBQ BX, AX
	MOVQ AX, 24(DI)

update:
	XORQ R14, R14

columns:
	LEAQ (BX)(R14*1), R15
	MOVQ n+32(FP), CX
	MOVQ pulls+64(FP), DI
	VMOVUPS (R8)(R14*1), Y0
	VMOVUPS (R9)(R14*1), Y1
	VMOVUPS (R10)(R14*1), Y2
	VMOVUPS (R11)(R14*1), Y3
	VMOVUPS (R12)(R14*1), Y4
	VMOVUPS (R13)(R14*1), Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11

rows:
	MOVQ 24(DI), AX
	VMOVUPS (AX)(R15*1), Y12
	VMOVAPS Y12, Y13
	MOVE(0, Y14, Y0, Y6)
	MOVE(4, Y15, Y1, Y7)
	MOVE(8, Y14, Y2, Y8)
	MOVE(12, Y15, Y3, Y9)
	MOVE(16, Y14, Y4, Y10)
	MOVE(20, Y15, Y5, Y11)
	VMOVUPS Y13, (AX)(R15*1)
	ADDQ $32, DI
	DECQ CX
	JNZ rows

	CHANGE(R8, Y6)
	CHANGE(R9, Y7)
	CHANGE(R10, Y8)
	CHANGE(R11, Y9)
	CHANGE(R12, Y10)
	CHANGE(R13, Y11)
	ADDQ $32, R14
	CMPQ R14, DX
	JLT columns

	VZEROUPPER
	RET

// func prefetch(p *float32, bytes int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ bytes+8(FP), CX

lines:
	BYTE $0x0F; BYTE $0x0D; BYTE $0x08 // PREFETCHW (AX): to write to; where it is not known, it does nothing
	ADDQ $64, AX
	SUBQ $64, CX
	JGT lines
	RET
