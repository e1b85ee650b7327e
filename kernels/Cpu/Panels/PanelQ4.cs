using System.Runtime.CompilerServices;
using Llama3Cluster.Kernels.Cpu.MachineCode;
using Llama3Cluster.Kernels.Cpu.Simd;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Q4_0: the scales stay half precision; the 16 bytes of a block are four lanes' worth, in the order of the file.</summary>
internal readonly unsafe struct PanelQ4 : IBytePanelFormat
{
    private const int FileBytes = 18;

    public static int SpanBlocks => 2;

    public static int SpanScaleBytes => SpanBlocks * Panel.Outputs * sizeof(ushort);

    public static int BlockCodeBytes => Nibbles.BlockBytes;

    public static bool IsWide => false;

    public static float SumFactor => -8;

    public static bool HasMin => false;

    public static bool IsPerHalf => false;

    public static void Pack(byte** rows, int block, byte* span, byte* codes)
    {
        ushort* scales = (ushort*)span + (block % SpanBlocks * Panel.Outputs);
        for (int row = 0; row < Panel.Outputs; row++)
        {
            byte* from = rows[row] + (block * (long)FileBytes);
            scales[row] = Unsafe.ReadUnaligned<ushort>(from);
            PanelLanes.Store(codes, row, from + sizeof(ushort));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadScales<TS, TV>(byte* span, int i, int lane, out TV first, out TV second, out TV min)
        where TS : struct, ILanes<TV>
        where TV : unmanaged =>
        min = second = first = TS.LoadScale((ushort*)span + (i * Panel.Outputs) + lane);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadCodes<TS, TV>(
        byte* codes, int lane, out TV w0, out TV w1, out TV w2, out TV w3, out TV w4, out TV w5, out TV w6, out TV w7)
        where TS : struct, ILanes<TV>
        where TV : unmanaged => Nibbles.Load<TS, TV>(codes, lane, out w0, out w1, out w2, out w3, out w4, out w5, out w6, out w7);

    public static void WriteScales(Assembler code) => code.LoadHalf(ByteTileCode.First, new Address(TileFrame.Scales, 0));

    public static void WriteCodes(Assembler code) => Nibbles.Write(code);
}
