using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Memory;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Weights;

/// <summary>Sends a matrix to the device in tiles, packed by all cores on the way.</summary>
internal static unsafe class TileUpload
{
    /// <summary>Packs and copies; returns when the copy has arrived.</summary>
    /// <exception cref="ArgumentException">A row of tiles is larger than the staging buffer.</exception>
    public static void Run(GpuQueue queue, TensorData data, GpuBuffer target)
    {
        int rowTiles = TileLayout.RowTiles(data.Rows);
        long tileRowBytes = TileLayout.ByteCount(data.Format, TileLayout.Rows, data.Columns);
        if (tileRowBytes > StagingBuffer.Bytes)
            throw new ArgumentException($"16 rows of {data.Columns} {data.Format} weights take {tileRowBytes} bytes; at most {StagingBuffer.Bytes} can be staged", nameof(data));

        int atOnce = (int)(StagingBuffer.Bytes / 4 / tileRowBytes) + 1;
        for (int first = 0; first < rowTiles; first += atOnce)
        {
            int count = Math.Min(atOnce, rowTiles - first), bytes = (int)(count * tileRowBytes), firstTile = first;
            Span<byte> staged = queue.Stage(bytes, target, first * tileRowBytes);
            var address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(staged)); // page-locked
            Parallel.For(0, count, tile => TilePacker.Pack(
                data, firstTile + tile, new Span<byte>((byte*)address + (tile * tileRowBytes), (int)tileRowBytes)));
            queue.Commit(bytes, target, first * tileRowBytes);
        }

        queue.Synchronize();
    }
}
