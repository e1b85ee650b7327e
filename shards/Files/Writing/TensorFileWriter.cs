using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Llama3Cluster.Kernels.Formats;
using Microsoft.Win32.SafeHandles;

namespace Llama3Cluster.Shards.Files.Writing;

/// <summary>
/// Writes laid-out files on several threads, each of which makes, encodes and writes a few rows at a time, so that a model larger
/// than the memory can be written.
/// </summary>
internal sealed class TensorFileWriter(int threads, long totalBytes, IProgress<WritingProgress>? progress)
{
    private const int ChunkBytes = 4 << 20;

    private readonly Lock _reporting = new();
    private long _written;

    /// <summary>Writes one file.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled; what was written is left for the caller to remove.</exception>
    public void Write(string path, TensorFileLayout layout, CancellationToken cancellation)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, preallocationSize: layout.Length);
        RandomAccess.Write(file, layout.Header, 0);
        RandomAccess.SetLength(file, layout.Length);
        var options = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation };

        try
        {
            // Without buffering the chunks are taken in order, which keeps the disk's work sequential.
            Parallel.ForEach(
                Partitioner.Create(Chunks(layout), EnumerablePartitionerOptions.NoBuffering),
                options,
                () => new Buffers(),
                (chunk, _, buffers) =>
                {
                    WriteChunk(file, chunk, buffers);
                    return buffers;
                },
                _ => { });
        }
        catch (AggregateException e)
        {
            // Several threads may have met a full disk at once; one of their errors says it all.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private static IEnumerable<Chunk> Chunks(TensorFileLayout layout)
    {
        foreach ((TensorSpec tensor, long offset) in layout.Tensors)
        {
            int rows = (int)Math.Max(1, ChunkBytes / tensor.RowBytes);
            for (int first = 0; first < tensor.Rows; first += rows)
                yield return new Chunk(tensor, first, Math.Min(rows, tensor.Rows - first), offset + (first * tensor.RowBytes));
        }
    }

    private void WriteChunk(SafeFileHandle file, Chunk chunk, Buffers buffers)
    {
        TensorSpec tensor = chunk.Tensor;
        int rowBytes = (int)tensor.RowBytes;
        Span<float> row = buffers.Row(tensor.Columns);
        Span<byte> encoded = buffers.Encoded(chunk.Rows * rowBytes);
        for (int i = 0; i < chunk.Rows; i++)
        {
            Span<byte> destination = encoded.Slice(i * rowBytes, rowBytes);
            if (tensor.Copy is not null)
            {
                tensor.Copy(chunk.FirstRow + i, destination);
                continue;
            }

            tensor.Fill(chunk.FirstRow + i, row);
            BlockEncoder.Quantize(tensor.Format, row, destination);
        }

        RandomAccess.Write(file, encoded, chunk.Offset);
        lock (_reporting)
        {
            _written += encoded.Length;
            progress?.Report(new WritingProgress(tensor.Name, _written, totalBytes));
        }
    }

    private readonly record struct Chunk(TensorSpec Tensor, int FirstRow, int Rows, long Offset);

    private sealed class Buffers
    {
        private float[] _row = [];
        private byte[] _encoded = [];

        public Span<float> Row(int length) => (_row.Length >= length ? _row : _row = new float[length]).AsSpan(0, length);

        public Span<byte> Encoded(int length) => (_encoded.Length >= length ? _encoded : _encoded = new byte[length]).AsSpan(0, length);
    }
}
