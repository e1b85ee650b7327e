using System.Numerics;
using ILGPU.IR.Intrinsics;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <summary>
/// Instructions of NVIDIA GPUs (compute capability 8.0 and later) that C# has no words for. Addresses are of global memory if they have
/// 64 bits, of the group's shared memory if they have 32. Instructions of a single lane have a managed body that computes the same; those
/// that lanes execute together, and those that read device memory, exist on the device alone.
/// </summary>
/// <remarks>The semantics are those of NVIDIA's "Parallel Thread Execution ISA" under the templates' names.</remarks>
internal static partial class Ptx
{
    /// <summary>a b + c, rounded once. Never split, and no other sum is ever joined to it.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("fma.rn.f32 %d, %0, %1, %2;")]
    public static float Fma(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    /// <summary>a + b: never joined with a product.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("add.rn.f32 %d, %0, %1;")]
    public static float Add(float a, float b) => a + b;

    /// <summary>a b: never joined with a sum.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("mul.rn.f32 %d, %0, %1;")]
    public static float Multiply(float a, float b) => a * b;

    /// <summary>a / b, rounded to nearest.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("div.rn.f32 %d, %0, %1;")]
    public static float Divide(float a, float b) => a / b;

    /// <summary>The square root, rounded to nearest.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("sqrt.rn.f32 %d, %0;")]
    public static float SquareRoot(float a) => MathF.Sqrt(a);

    /// <summary>2^a, to about two units in the last place; 0 where the result would be subnormal.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ex2.approx.ftz.f32 %d, %0;")]
    public static float Exp2(float a) => MathF.Pow(2, a);

    /// <summary>The larger; of a number and a NaN, the number.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("max.f32 %d, %0, %1;")]
    public static float Max(float a, float b) => float.MaxNumber(a, b);

    /// <summary>Two values as bfloat16, <paramref name="low"/> in the low half.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("cvt.rn.bf16x2.f32 %d, %1, %0;")]
    public static uint PackBf16(float low, float high) => Bf16.FromSingle(low) | ((uint)Bf16.FromSingle(high) << 16);

    /// <summary>Two values in half precision, <paramref name="low"/> in the low half.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("cvt.rn.f16x2.f32 %d, %1, %0;")]
    public static uint PackHalf(float low, float high) => Halves.Pack((Half)low, (Half)high);

    /// <summary>The value of the low half, a half-precision number.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("{ .reg .b16 l, h; mov.b32 {l, h}, %0; cvt.f32.f16 %d, l; }")]
    public static float LowHalf(uint pair) => (float)Halves.Low(pair);

    /// <summary>The value of the upper half, a half-precision number.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("{ .reg .b16 l, h; mov.b32 {l, h}, %0; cvt.f32.f16 %d, h; }")]
    public static float HighHalf(uint pair) => (float)Halves.High(pair);

    /// <summary>a - b in both halves, in half precision.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("sub.rn.f16x2 %d, %0, %1;")]
    public static uint SubtractHalves(uint a, uint b) => Halves.Pack(Halves.Low(a) - Halves.Low(b), Halves.High(a) - Halves.High(b));

    /// <summary>a b in both halves, in half precision.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("mul.rn.f16x2 %d, %0, %1;")]
    public static uint MultiplyHalves(uint a, uint b) => Halves.Pack(Halves.Low(a) * Halves.Low(b), Halves.High(a) * Halves.High(b));

    /// <summary>a b + c in both halves, in half precision, rounded once.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("fma.rn.f16x2 %d, %0, %1, %2;")]
    public static uint FmaHalves(uint a, uint b, uint c) => Halves.Pack(
        Half.FusedMultiplyAdd(Halves.Low(a), Halves.Low(b), Halves.Low(c)),
        Half.FusedMultiplyAdd(Halves.High(a), Halves.High(b), Halves.High(c)));

    /// <summary>(a &amp; b) | c.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("lop3.b32 %d, %0, %1, %2, 0xEA;")]
    public static uint AndOr(uint a, uint b, uint c) => (a & b) | c;

    /// <summary>
    /// Four of the eight bytes of a (0 to 3) and b (4 to 7): the selector's nibbles, lowest first, name the result's bytes, lowest first.
    /// </summary>
    [IntrinsicImplementation]
    [PtxTemplate("prmt.b32 %d, %0, %1, %2;")]
    public static uint PickBytes(uint a, uint b, uint selector)
    {
        ulong bytes = a | ((ulong)b << 32);
        uint result = 0;
        for (int i = 0; i < 4; i++)
            result |= (uint)((bytes >> (8 * (int)((selector >> (4 * i)) & 7))) & 0xFF) << (8 * i);
        return result;
    }

    /// <summary>Sum of the products of four signed bytes, and c.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("dp4a.s32.s32 %d, %0, %1, %2;")]
    public static int DotBytes(uint a, uint b, int c)
    {
        for (int shift = 0; shift < 32; shift += 8)
            c += (sbyte)(a >> shift) * (sbyte)(b >> shift);
        return c;
    }

    /// <summary>Zeros before the highest set bit.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("clz.b32 %d, %0;")]
    public static int LeadingZeros(uint a) => BitOperations.LeadingZeroCount(a);
}
