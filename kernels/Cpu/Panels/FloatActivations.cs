using System.Runtime.CompilerServices;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>
/// Activations as they are, for plain weights: per block of 32 columns, zero beyond the last. Rows alternate as <see cref="RowTile"/>
/// says. A chunk is a row.
/// </summary>
internal unsafe struct FloatActivations : IParallelJob
{
    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = Panel.BlockColumns * sizeof(float);

    public float* Source;
    public int Columns;
    public int RowCount;

    /// <summary>Rows of the largest tile that reads them.</summary>
    public int TileRows;
    public byte* Rows;

    /// <summary>Bytes that a row takes.</summary>
    public static long RowBytes(int columns) => (long)Panel.BlocksOf(columns) * BlockBytes;

    /// <inheritdoc/>
    public readonly void Run(int chunk, int worker)
    {
        RowTile tile = RowTile.Of(chunk, RowCount, TileRows);
        float* source = Source + (chunk * (long)Columns);
        byte* block = Rows + (tile.First * RowBytes(Columns)) + ((chunk - tile.First) * BlockBytes);
        for (int left = Columns; left > 0; left -= Panel.BlockColumns, source += Panel.BlockColumns, block += tile.Rows * BlockBytes)
        {
            if (left < Panel.BlockColumns)
                Unsafe.InitBlockUnaligned(block, 0, BlockBytes);
            Unsafe.CopyBlockUnaligned(block, source, (uint)Math.Min(left * sizeof(float), BlockBytes));
        }
    }
}
