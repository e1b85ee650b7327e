using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Quantized;

/// <summary>What <see cref="WordTile{TS,TV}.Unpack"/> has unpacked of <typeparamref name="TL"/>.</summary>
internal readonly unsafe struct PanelLoader<TL> : IWordLoader
    where TL : struct, IWordLoader
{
    public static int BlockBytes => 0;

    public static bool HasMin => TL.HasMin;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<TS, TV>(byte* row, int group, out TV a, out TV b, out TV c, out TV d, out TV scale, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged
    {
        float* words = (float*)row + (group * (long)WordGroup<TS, TV>.PanelFloats);
        a = TS.Load(words);
        b = TS.Load(words + TS.Count);
        c = TS.Load(words + (2 * TS.Count));
        d = TS.Load(words + (3 * TS.Count));
        scale = TS.Load(words + (4 * TS.Count));
        min = HasMin ? TS.Load(words + (5 * TS.Count)) : scale;
    }
}
