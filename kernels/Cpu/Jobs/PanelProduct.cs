using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Jobs;

/// <summary>
/// Products of rows with a panel, which is two vectors a step: <c>c[row] += sum over k of a[row][k] panel[k]</c>. One lane's sum is one
/// chain of fused operations in the order of the steps, whatever the tile, and a chain that is cut goes on where it ended: a result's bits
/// depend on neither.
/// </summary>
internal static unsafe class PanelProduct<TS, TV>
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    /// <summary>
    /// Rows of the large tile. Its eight sums hide the latency of the multiply-add and fit the sixteen registers of AVX2.
    /// </summary>
    public const int Rows = 4;

    /// <summary>Lanes of one step of a panel.</summary>
    public static int Width => 2 * TS.Count;

    /// <summary>Four rows.</summary>
    /// <param name="a">The rows' multipliers, <paramref name="aStride"/> apart.</param>
    /// <param name="aStride">See <paramref name="a"/>.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="steps">Steps of the panel.</param>
    /// <param name="c">The rows' sums, <paramref name="cStride"/> apart.</param>
    /// <param name="cStride">See <paramref name="c"/>.</param>
    [MethodImpl(Jit.Alone)]
    public static void FourRows(float* a, nint aStride, float* panel, int steps, float* c, nint cStride)
    {
        float* a0 = a, a1 = a0 + aStride, a2 = a1 + aStride, a3 = a2 + aStride;
        float* c0 = c, c1 = c0 + cStride, c2 = c1 + cStride, c3 = c2 + cStride;
        TV c00 = TS.Load(c0), c01 = TS.Load(c0 + TS.Count), c10 = TS.Load(c1), c11 = TS.Load(c1 + TS.Count);
        TV c20 = TS.Load(c2), c21 = TS.Load(c2 + TS.Count), c30 = TS.Load(c3), c31 = TS.Load(c3 + TS.Count);
        for (nint k = 0; k < steps; k++)
        {
            TV b0 = TS.Load(panel), b1 = TS.Load(panel + TS.Count), x = TS.Splat(a0[k]);
            panel += 2 * TS.Count;
            c00 = TS.MultiplyAdd(x, b0, c00);
            c01 = TS.MultiplyAdd(x, b1, c01);
            x = TS.Splat(a1[k]);
            c10 = TS.MultiplyAdd(x, b0, c10);
            c11 = TS.MultiplyAdd(x, b1, c11);
            x = TS.Splat(a2[k]);
            c20 = TS.MultiplyAdd(x, b0, c20);
            c21 = TS.MultiplyAdd(x, b1, c21);
            x = TS.Splat(a3[k]);
            c30 = TS.MultiplyAdd(x, b0, c30);
            c31 = TS.MultiplyAdd(x, b1, c31);
        }

        Store(c0, c00, c01);
        Store(c1, c10, c11);
        Store(c2, c20, c21);
        Store(c3, c30, c31);
    }

    /// <summary>One row.</summary>
    [MethodImpl(Jit.Alone)]
    public static void OneRow(float* a, float* panel, int steps, float* c)
    {
        TV c0 = TS.Load(c), c1 = TS.Load(c + TS.Count);
        for (nint k = 0; k < steps; k++)
        {
            TV x = TS.Splat(a[k]);
            c0 = TS.MultiplyAdd(x, TS.Load(panel), c0);
            c1 = TS.MultiplyAdd(x, TS.Load(panel + TS.Count), c1);
            panel += 2 * TS.Count;
        }

        Store(c, c0, c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, TV c0, TV c1)
    {
        TS.Store(c, c0);
        TS.Store(c + TS.Count, c1);
    }
}
