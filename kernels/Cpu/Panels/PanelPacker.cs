using System.Runtime.CompilerServices;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Where the parts of panels lie, and how they are filled from a matrix in its file.</summary>
internal static unsafe class PanelPacker<TF>
    where TF : struct, IPanelFormat
{
    /// <summary>Bytes of a span.</summary>
    /// <remarks>Inlined without fail: across a call no vector register survives, and a tile would keep its sums in memory for good.</remarks>
    public static int SpanBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TF.SpanScaleBytes + (TF.SpanBlocks * TF.BlockCodeBytes);
    }

    /// <summary>Bytes of a panel of so many blocks; the last span may be partly empty.</summary>
    public static long PanelBytes(int blocks) => (long)((blocks + TF.SpanBlocks - 1) / TF.SpanBlocks) * SpanBytes;

    /// <summary>Fills a panel, or some blocks of it.</summary>
    /// <param name="matrix">The first row of the matrix.</param>
    /// <param name="rowBytes">Bytes of a row.</param>
    /// <param name="outputs">Rows of the matrix; lanes beyond repeat its last row, and their results are dropped.</param>
    /// <param name="panel">The panel's number.</param>
    /// <param name="firstBlock">The first block: the beginning of a span.</param>
    /// <param name="blocks">Blocks to fill.</param>
    /// <param name="destination">Where the first block's span begins.</param>
    public static void Pack(byte* matrix, long rowBytes, int outputs, int panel, int firstBlock, int blocks, byte* destination)
    {
        byte** rows = stackalloc byte*[Panel.Outputs];
        for (int lane = 0; lane < Panel.Outputs; lane++)
            rows[lane] = matrix + (Math.Min((panel * Panel.Outputs) + lane, outputs - 1) * rowBytes);
        long blockBytes = Panel.BlockColumns * TF.ElementBytes;
        for (int block = 0; block < blocks; block++)
        {
            byte* span = destination + (block / TF.SpanBlocks * (long)SpanBytes);
            byte* codes = span + TF.SpanScaleBytes + (block % TF.SpanBlocks * TF.BlockCodeBytes);
            if ((firstBlock + block + 1) * blockBytes > rowBytes)
                PackLast(rows, rowBytes - ((firstBlock + block) * blockBytes), firstBlock + block, span, codes);
            else
                TF.Pack(rows, firstBlock + block, span, codes);
        }
    }

    // A plain row may end within a block: nothing is read beyond it, and zeros follow.
    private static void PackLast(byte** rows, long bytes, int block, byte* span, byte* codes)
    {
        int blockBytes = Panel.BlockColumns * TF.ElementBytes;
        byte* copies = stackalloc byte[Panel.Outputs * blockBytes];
        byte** starts = stackalloc byte*[Panel.Outputs];
        Unsafe.InitBlockUnaligned(copies, 0, (uint)(Panel.Outputs * blockBytes));
        for (int lane = 0; lane < Panel.Outputs; lane++)
        {
            starts[lane] = copies + (lane * blockBytes);
            Unsafe.CopyBlockUnaligned(starts[lane], rows[lane] + ((long)block * blockBytes), (uint)bytes);
        }

        TF.Pack(starts, 0, span, codes);
    }
}
