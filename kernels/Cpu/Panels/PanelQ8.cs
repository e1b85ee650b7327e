using System.Runtime.CompilerServices;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Q8_0: half-precision scales; eight vectors of signed bytes a block. They are split into 16-bit words and meet activations of 16 bits:
/// eight would cost as much as the weights themselves have lost.
/// </summary>
internal readonly unsafe struct PanelQ8 : IPanelFormat
{
    private const int FileBytes = 34;

    public static int SpanBlocks => 2;

    public static int SpanScaleBytes => SpanBlocks * Panel.Outputs * sizeof(ushort);

    public static int BlockCodeBytes => 8 * Panel.VectorBytes;

    public static void Pack(byte** rows, int block, byte* span, byte* codes)
    {
        ushort* scales = (ushort*)span + (block % SpanBlocks * Panel.Outputs);
        for (int row = 0; row < Panel.Outputs; row++)
        {
            byte* from = rows[row] + (block * (long)FileBytes);
            scales[row] = Unsafe.ReadUnaligned<ushort>(from);
            PanelLanes.Store(codes, row, from + sizeof(ushort));
            PanelLanes.Store(codes + (4 * Panel.VectorBytes), row, from + sizeof(ushort) + 16);
        }
    }
}
