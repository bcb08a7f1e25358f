#include "textflag.h"

// Eight rows are read side by side, each into an accumulator of its own: enough independent sums to hide the
// latency of a multiplication, and one load of the query for all of them. R8 runs along row 0, R11 along row 4; the
// rows between are one, two and three strides (R9, 2·R9, R10) behind.

// func rowsKernel(out, q, rows *float32, blocks, stride int)
TEXT ·rowsKernel(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), R8
	MOVQ blocks+24(FP), CX
	MOVQ stride+32(FP), R9
	LEAQ (R9)(R9*2), R10

rowsBlock:
	LEAQ   (R8)(R9*4), R11
	XORQ   AX, AX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

rowsLane:
	VMOVUPS     (SI)(AX*1), Y8
	VFMADD231PS (R8), Y8, Y0
	VFMADD231PS (R8)(R9*1), Y8, Y1
	VFMADD231PS (R8)(R9*2), Y8, Y2
	VFMADD231PS (R8)(R10*1), Y8, Y3
	VFMADD231PS (R11), Y8, Y4
	VFMADD231PS (R11)(R9*1), Y8, Y5
	VFMADD231PS (R11)(R9*2), Y8, Y6
	VFMADD231PS (R11)(R10*1), Y8, Y7
	ADDQ        $32, R8
	ADDQ        $32, R11
	ADDQ        $32, AX
	CMPQ        AX, R9
	JLT         rowsLane

	// Add up each accumulator: pairs, pairs of pairs, then both halves. The sums end up in the order of the rows.
	VHADDPS    Y1, Y0, Y0
	VHADDPS    Y3, Y2, Y2
	VHADDPS    Y5, Y4, Y4
	VHADDPS    Y7, Y6, Y6
	VHADDPS    Y2, Y0, Y0
	VHADDPS    Y6, Y4, Y4
	VPERM2F128 $0x20, Y4, Y0, Y1
	VPERM2F128 $0x31, Y4, Y0, Y2
	VADDPS     Y2, Y1, Y0
	VMOVUPS    Y0, (DI)
	ADDQ       $32, DI
	LEAQ       (R11)(R10*1), R8 // row 4 has run one stride, three more are row 8
	DECQ       CX
	JNZ        rowsBlock
	VZEROUPPER
	RET

// func oneKernel(a, b *float32, lanes int) float32
TEXT ·oneKernel(SB), NOSPLIT, $0-28
	MOVQ   a+0(FP), SI
	MOVQ   b+8(FP), DI
	MOVQ   lanes+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	TESTQ  $1, CX
	JZ     onePairs
	VMOVUPS     (SI), Y2
	VFMADD231PS (DI), Y2, Y0
	ADDQ        $32, SI
	ADDQ        $32, DI

onePairs:
	SHRQ $1, CX
	JZ   oneSum

oneLane:
	VMOVUPS     (SI), Y2
	VMOVUPS     32(SI), Y3
	VFMADD231PS (DI), Y2, Y0
	VFMADD231PS 32(DI), Y3, Y1
	ADDQ        $64, SI
	ADDQ        $64, DI
	DECQ        CX
	JNZ         oneLane

oneSum:
	VADDPS       Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VHADDPS      X0, X0, X0
	VHADDPS      X0, X0, X0
	VMOVSS       X0, ret+24(FP)
	VZEROUPPER
	RET

// func codesKernel(out *float32, q *int16, codes *int8, scales *float32, blocks, stride int)
TEXT ·codesKernel(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ q+8(FP), SI
	MOVQ codes+16(FP), R8
	MOVQ scales+24(FP), DX
	MOVQ blocks+32(FP), CX
	MOVQ stride+40(FP), R9
	LEAQ (R9)(R9*2), R10

codesBlock:
	LEAQ  (R8)(R9*4), R11
	XORQ  AX, AX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

codesLane:
	VMOVDQU   (SI)(AX*2), Y8
	VPMOVSXBW (R8), Y9
	VPMOVSXBW (R8)(R9*1), Y10
	VPMOVSXBW (R8)(R9*2), Y11
	VPMOVSXBW (R8)(R10*1), Y12
	VPMADDWD  Y8, Y9, Y9
	VPMADDWD  Y8, Y10, Y10
	VPMADDWD  Y8, Y11, Y11
	VPMADDWD  Y8, Y12, Y12
	VPADDD    Y9, Y0, Y0
	VPADDD    Y10, Y1, Y1
	VPADDD    Y11, Y2, Y2
	VPADDD    Y12, Y3, Y3
	VPMOVSXBW (R11), Y9
	VPMOVSXBW (R11)(R9*1), Y10
	VPMOVSXBW (R11)(R9*2), Y11
	VPMOVSXBW (R11)(R10*1), Y12
	VPMADDWD  Y8, Y9, Y9
	VPMADDWD  Y8, Y10, Y10
	VPMADDWD  Y8, Y11, Y11
	VPMADDWD  Y8, Y12, Y12
	VPADDD    Y9, Y4, Y4
	VPADDD    Y10, Y5, Y5
	VPADDD    Y11, Y6, Y6
	VPADDD    Y12, Y7, Y7
	ADDQ      $16, R8
	ADDQ      $16, R11
	ADDQ      $16, AX
	CMPQ      AX, R9
	JLT       codesLane

	VPHADDD    Y1, Y0, Y0
	VPHADDD    Y3, Y2, Y2
	VPHADDD    Y5, Y4, Y4
	VPHADDD    Y7, Y6, Y6
	VPHADDD    Y2, Y0, Y0
	VPHADDD    Y6, Y4, Y4
	VPERM2I128 $0x20, Y4, Y0, Y1
	VPERM2I128 $0x31, Y4, Y0, Y2
	VPADDD     Y2, Y1, Y0
	VCVTDQ2PS  Y0, Y0
	VMULPS     (DX), Y0, Y0
	VMOVUPS    Y0, (DI)
	ADDQ       $32, DI
	ADDQ       $32, DX
	LEAQ       (R11)(R10*1), R8
	DECQ       CX
	JNZ        codesBlock
	VZEROUPPER
	RET

// func aboveKernel(x *float32, lanes int, than float32) int
TEXT ·aboveKernel(SB), NOSPLIT, $0-32
	MOVQ         x+0(FP), SI
	MOVQ         lanes+8(FP), CX
	VBROADCASTSS than+16(FP), Y0
	XORQ         DX, DX
	XORQ         AX, AX

aboveLane:
	VCMPPS    $0x11, (SI), Y0, Y1 // than < x, which is false for what is no number
	VMOVMSKPS Y1, AX
	TESTL     AX, AX
	JNZ       aboveFound
	ADDQ      $32, SI
	ADDQ      $8, DX
	DECQ      CX
	JNZ       aboveLane
	JMP       aboveEnd

aboveFound:
	BSFL AX, AX
	ADDQ AX, DX

aboveEnd:
	MOVQ DX, ret+24(FP)
	VZEROUPPER
	RET

// func fetchKernel(x unsafe.Pointer, bytes int)
TEXT ·fetchKernel(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), SI
	MOVQ bytes+8(FP), CX
	ADDQ SI, CX       // the end
	ANDQ $-64, SI     // the line that x starts in

fetchLine:
	PREFETCHT0 (SI)
	ADDQ       $64, SI
	CMPQ       SI, CX
	JLT        fetchLine
	RET
