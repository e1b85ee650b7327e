using System.Runtime.Intrinsics;
using Llama3Cluster.Kernels.Cpu.Jobs;
using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Cpu;

/// <summary>The operations of <see cref="ComputeDevice"/> for one vector width. The device has checked the arguments.</summary>
internal abstract class CpuKernels : IDisposable
{
    /// <summary>The kernels of a path.</summary>
    public static CpuKernels Create(SimdPath path, WorkerPool pool) => path switch
    {
        SimdPath.Vector512Vnni => new CpuKernels<Lanes512, Vector512<float>>(pool, emits: true),
        SimdPath.Vector512 => new CpuKernels<Lanes512, Vector512<float>>(pool),
        SimdPath.Vector256 => new CpuKernels<Lanes256, Vector256<float>>(pool),
        _ => new CpuKernels<Lanes128, Vector128<float>>(pool),
    };

    public abstract void Decode(TensorData row, HostTensor output);

    public abstract void Embed(TensorData table, RaggedBatch batch, HostTensor output);

    public abstract void RmsNorm(HostTensor input, HostTensor gain, float epsilon, int rows, HostTensor output);

    public abstract void Linear(ReadOnlySpan<LinearTarget> targets, HostTensor input, int rows);

    public abstract void RopeAngles(HostTensor frequencies, RaggedBatch batch, HostTensor angles);

    public abstract void RopeAndAppendKv(
        HostTensor query, HostTensor key, HostTensor value, HostTensor angles, RopePairing pairing, HostKvCache cache, int layer, RaggedBatch batch);

    public abstract void PagedAttention(HostTensor query, HostKvCache cache, int layer, RaggedBatch batch, HostTensor output);

    public abstract void SwiGlu(HostTensor gate, HostTensor up, int rows, HostTensor output);

    public abstract void Add(HostTensor accumulator, HostTensor addend, int rows);

    public abstract void SelectLogitRows(HostTensor input, RaggedBatch batch, HostTensor output);

    public abstract void ArgMax(HostTensor logits, int rows, Span<int> indices);

    public abstract void Dispose();
}

/// <inheritdoc/>
/// <remarks>Arrays of the batch are pinned while the workers read them; a job lives on the calling thread's stack.</remarks>
internal sealed unsafe class CpuKernels<TS, TV>(WorkerPool pool, bool emits = false) : CpuKernels
    where TS : struct, ILanes<TV>
    where TV : unmanaged
{
    // Below so many elements one thread is done before the others have begun.
    private const long LeastForkedElements = 16 * 1024;

    // With fewer chunks a thread, threads would wait for each other.
    private const int LeastChunksPerThread = 4;

    private readonly LinearKernel<TS, TV> _linear = new(pool, emits);
    private readonly AttentionKernel<TS, TV> _attention = new(pool);

    public override void Decode(TensorData row, HostTensor output) =>
        RowDecoder<TS, TV>.Decode(row.Format, (byte*)row.Address, row.Columns, output.Data);

    public override void Embed(TensorData table, RaggedBatch batch, HostTensor output)
    {
        fixed (int* tokens = batch.Tokens)
        {
            var job = new EmbedJob<TS, TV> { Table = table, Tokens = tokens, Output = output.Data };
            Run(&job, batch.RowCount, batch.RowCount * (long)table.Columns);
        }
    }

    public override void RmsNorm(HostTensor input, HostTensor gain, float epsilon, int rows, HostTensor output)
    {
        var job = new RmsNormJob<TS, TV>
        {
            Input = input.Data,
            Gain = gain.Data,
            Epsilon = epsilon,
            Columns = input.Columns,
            Output = output.Data,
        };
        Run(&job, rows, rows * (long)input.Columns);
    }

    public override void Linear(ReadOnlySpan<LinearTarget> targets, HostTensor input, int rows) =>
        _linear.Run(targets, input.Data, rows);

    public override void RopeAngles(HostTensor frequencies, RaggedBatch batch, HostTensor angles)
    {
        fixed (int* positions = batch.Positions)
        {
            int half = frequencies.Columns;
            var job = new RopeAnglesJob
            {
                Leading = frequencies.Data,
                Rest = frequencies.Data + half,
                Half = half,
                Positions = positions,
                Angles = angles.Data,
            };
            Run(&job, batch.RowCount, batch.RowCount * (long)half);
        }
    }

    public override void RopeAndAppendKv(
        HostTensor query, HostTensor key, HostTensor value, HostTensor angles, RopePairing pairing, HostKvCache cache, int layer, RaggedBatch batch)
    {
        fixed (int* positions = batch.Positions, rowSequences = batch.RowSequences, blocks = batch.Blocks)
        fixed (BatchSequence* sequences = batch.Sequences)
        {
            var job = new RopeAndAppendJob<TS, TV>
            {
                Query = query.Data,
                Key = key.Data,
                Value = value.Data,
                Angles = angles.Data,
                Heads = query.Columns / cache.Shape.HeadDim,
                KvHeads = cache.Shape.KvHeads,
                HeadDim = cache.Shape.HeadDim,
                Pairing = pairing,
                Format = cache.Shape.Format,
                Kv = new KvView(cache, layer),
                MayHoldSpecials = cache.MayHoldSpecials,
                Positions = positions,
                RowSequences = rowSequences,
                Sequences = sequences,
                Blocks = blocks,
                Rows = batch.RowCount,
                RowsPerChunk = Math.Clamp(batch.RowCount / (LeastChunksPerThread * pool.Threads), 1, KvShape.BlockSize),
            };
            Run(&job, (job.Rows + job.RowsPerChunk - 1) / job.RowsPerChunk, batch.RowCount * (long)query.Columns);
        }
    }

    public override void PagedAttention(HostTensor query, HostKvCache cache, int layer, RaggedBatch batch, HostTensor output) =>
        _attention.Run(query, cache, layer, batch, output);

    public override void SwiGlu(HostTensor gate, HostTensor up, int rows, HostTensor output)
    {
        long elements = rows * (long)gate.Columns;
        var job = new SwiGluJob<TS, TV> { Gate = gate.Data, Up = up.Data, Output = output.Data, Elements = elements };
        Run(&job, ElementJobs.Chunks(elements), elements);
    }

    public override void Add(HostTensor accumulator, HostTensor addend, int rows)
    {
        long elements = rows * (long)accumulator.Columns;
        var job = new AddJob<TS, TV> { Accumulator = accumulator.Data, Addend = addend.Data, Elements = elements };
        Run(&job, ElementJobs.Chunks(elements), elements);
    }

    public override void SelectLogitRows(HostTensor input, RaggedBatch batch, HostTensor output)
    {
        fixed (int* rows = batch.LogitRows)
        {
            var job = new GatherJob { Input = input.Data, Rows = rows, Columns = input.Columns, Output = output.Data };
            Run(&job, batch.LogitRowCount, batch.LogitRowCount * (long)input.Columns);
        }
    }

    public override void ArgMax(HostTensor logits, int rows, Span<int> indices)
    {
        fixed (int* results = indices)
        {
            var job = new ArgMaxJob<TS, TV> { Logits = logits.Data, Columns = logits.Columns, Indices = results };
            Run(&job, rows, rows * (long)logits.Columns);
        }
    }

    public override void Dispose()
    {
        _linear.Dispose();
        _attention.Dispose();
    }

    private void Run<TJob>(TJob* job, int chunks, long elements)
        where TJob : unmanaged, IParallelJob
    {
        if (elements >= LeastForkedElements)
        {
            pool.Run(job, chunks);
            return;
        }

        for (int chunk = 0; chunk < chunks; chunk++)
            job->Run(chunk, 0);
    }
}
