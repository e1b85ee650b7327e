using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Plain numbers, one an element: column after column, 16 outputs each.</summary>
internal readonly unsafe struct PanelPlain<TL> : IPanelFormat
    where TL : struct, IElementLoader
{
    public static int SpanBlocks => 1;

    public static int SpanScaleBytes => 0;

    public static int BlockCodeBytes => Panel.BlockColumns * Panel.Outputs * TL.ElementBytes;

    public static int ElementBytes => TL.ElementBytes;

    public static void Pack(byte** rows, int block, byte* span, byte* codes)
    {
        long offset = (long)block * Panel.BlockColumns * TL.ElementBytes;
        if (TL.ElementBytes == sizeof(ushort))
            PanelTransposer.Words(rows, offset, (ushort*)codes);
        else
            PanelTransposer.Floats(rows, offset, (float*)codes);
    }
}
