namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Where the parts of panels lie, and how they are filled from a matrix in its file.</summary>
internal static unsafe class PanelPacker<TF>
    where TF : struct, IPanelFormat
{
    /// <summary>Bytes of the scales of so many blocks, whole spans.</summary>
    public static long ScaleBytes(int blocks) => (long)(blocks / TF.SpanBlocks) * TF.SpanScaleBytes;

    /// <summary>Bytes of a panel of so many blocks, so that the codes and the next panel are aligned to vectors.</summary>
    public static long PanelBytes(int blocks) => CodesAt(blocks) + ((long)blocks * TF.BlockCodeBytes);

    /// <summary>Where the codes of a panel of so many blocks begin.</summary>
    public static long CodesAt(int blocks) => Scratch.RoundUp(ScaleBytes(blocks));

    /// <summary>Fills a panel, or some blocks of it.</summary>
    /// <param name="matrix">The first row of the matrix.</param>
    /// <param name="rowBytes">Bytes of a row.</param>
    /// <param name="outputs">Rows of the matrix; lanes beyond repeat its last row, and their results are dropped.</param>
    /// <param name="panel">The panel's number.</param>
    /// <param name="firstBlock">The first block: the beginning of a span.</param>
    /// <param name="blocks">Blocks to fill: whole spans.</param>
    /// <param name="scales">Where the scales go.</param>
    /// <param name="codes">Where the codes go.</param>
    public static void Pack(byte* matrix, long rowBytes, int outputs, int panel, int firstBlock, int blocks, byte* scales, byte* codes)
    {
        byte** rows = stackalloc byte*[Panel.Outputs];
        for (int lane = 0; lane < Panel.Outputs; lane++)
            rows[lane] = matrix + (Math.Min((panel * Panel.Outputs) + lane, outputs - 1) * rowBytes);
        for (int block = 0; block < blocks; block++)
            TF.Pack(rows, firstBlock + block, scales + ScaleBytes(block / TF.SpanBlocks * TF.SpanBlocks), codes + (block * (long)TF.BlockCodeBytes));
    }
}
