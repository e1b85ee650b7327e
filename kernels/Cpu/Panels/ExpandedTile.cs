using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// A <see cref="FloatTile{TS,TV,TL}"/> for several tiles of rows: a pass of the panel is widened to float32 once and then serves them
/// all. The results are the same, since widening is exact.
/// </summary>
internal readonly unsafe struct ExpandedTile<TS, TV, TL> : IPanelTile
    where TS : struct, ILanes<TV>
    where TV : unmanaged
    where TL : struct, IElementLoader
{
    /// <inheritdoc/>
    public static int ActivationBytes => FloatActivations.BlockBytes;

    /// <inheritdoc/>
    public static int ExpandedBlockBytes => Panel.BlockColumns * Panel.Outputs * sizeof(float);

    /// <inheritdoc/>
    [MethodImpl(Jit.Alone)]
    public static void Expand(byte* span, int blocks, long ahead, byte* to)
    {
        const int Values = Panel.BlockColumns * Panel.Outputs;
        for (; blocks > 0; blocks--, span += Values * TL.ElementBytes, to += Values * sizeof(float))
        {
            // What comes next travels while the rows pass.
            CachePrefetch.Nearer(span + ahead, Values * TL.ElementBytes);
            var floats = (float*)to;
            for (int i = 0; i < Values; i += TS.Count)
                TS.Store(floats + i, TL.Load<TS, TV>(span, i));
        }
    }

    /// <inheritdoc/>
    public static void One(byte* span, int blocks, int lane, byte* x, float* y, bool resumes) =>
        FloatTile<TS, TV, F32Loader>.One(span, blocks, lane, x, y, resumes);

    /// <inheritdoc/>
    public static void Two(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        FloatTile<TS, TV, F32Loader>.Two(span, blocks, lane, x, y, yStride, resumes);

    /// <inheritdoc/>
    public static void Four(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        FloatTile<TS, TV, F32Loader>.Four(span, blocks, lane, x, y, yStride, resumes);

    /// <inheritdoc/>
    public static void Eight(byte* span, int blocks, int lane, byte* x, float* y, long yStride, bool resumes) =>
        FloatTile<TS, TV, F32Loader>.Eight(span, blocks, lane, x, y, yStride, resumes);
}
