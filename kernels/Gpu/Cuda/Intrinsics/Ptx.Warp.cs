using ILGPU.IR.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <content>What the 32 lanes of a warp do together.</content>
internal static partial class Ptx
{
    /// <summary>
    /// sums + A B for A [16, 16] and B [16, 8] of bfloat16. With g = lane / 4 and t = lane % 4 a lane holds of A the elements (g, 2t), (g, 2t
    /// + 1) in X, the same of row g + 8 in Y, and both again 8 columns on in Z and W; of B the elements (2t, g), (2t + 1, g) in b0, and 8
    /// rows on in b1.
    /// </summary>
    [IntrinsicImplementation]
    [PtxTemplate(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%d0,%d1,%d2,%d3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};")]
    public static Sums MultiplyBf16(Sums sums, U4 a, uint b0, uint b1) => throw DeviceOnly();

    /// <summary>As <see cref="MultiplyBf16"/>, of half-precision numbers.</summary>
    [IntrinsicImplementation]
    [PtxTemplate(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%d0,%d1,%d2,%d3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};")]
    public static Sums MultiplyHalf(Sums sums, U4 a, uint b0, uint b1) => throw DeviceOnly();

    /// <summary>
    /// Four 8x8 matrices of 16-bit elements from shared memory. Lane 8i + r gives the address of row r of matrix i (16 bytes); with g = lane
    /// / 4 and t = lane % 4 a lane receives the elements (g, 2t) and (g, 2t + 1) of each.
    /// </summary>
    [IntrinsicImplementation]
    [PtxTemplate("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%d0,%d1,%d2,%d3}, [%0];")]
    public static U4 LoadMatrices(uint address) => throw DeviceOnly();

    /// <summary>As <see cref="LoadMatrices"/>, each transposed: a lane receives the elements (2t, g) and (2t + 1, g).</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%d0,%d1,%d2,%d3}, [%0];")]
    public static U4 LoadMatricesTransposed(uint address) => throw DeviceOnly();

    /// <summary>The value of the lane whose number differs in the bits of the mask.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("shfl.sync.bfly.b32 %d, %0, #1, 31, 0xFFFFFFFF;")]
    public static float Exchange(float value, int mask) => throw DeviceOnly();
}
