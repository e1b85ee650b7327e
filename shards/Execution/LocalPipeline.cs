using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Execution;

/// <summary>
/// All slices of a model in this process, one after the other on the caller's thread: what the local commands use. The residual
/// stream passes between slices in its wire form, as it does between the stages of a cluster.
/// </summary>
public sealed class LocalPipeline : IDisposable
{
    private readonly StageExecutor[] _stages;
    private readonly ActivationFormat _format;
    private readonly byte[] _payload;

    private LocalPipeline(StageExecutor[] stages, ActivationFormat format)
    {
        _stages = stages;
        _format = format;
        _payload = new byte[stages[0].PayloadBytes(stages[0].Slice.Options.MaxRows, format)];
    }

    /// <summary>The largest batch it is prepared for.</summary>
    public SliceOptions Options => _stages[0].Slice.Options;

    /// <summary>Its slices, first to last.</summary>
    public IEnumerable<ModelSlice> Slices => _stages.Select(stage => stage.Slice);

    /// <summary>Loads a model cut into equal slices.</summary>
    /// <param name="file">The model; it must outlive the pipeline.</param>
    /// <param name="deviceOf">The device of each stage; devices outlive the pipeline and may be shared.</param>
    /// <param name="stages">How many slices, at most layers + 2.</param>
    /// <param name="options">The largest batch, and the KV cache of each slice.</param>
    /// <param name="format">The form of the residual stream between slices.</param>
    /// <param name="progress">Told how many bytes of all weights are loaded.</param>
    /// <param name="cancellationToken">Ends the loading early.</param>
    public static LocalPipeline Load(
        ModelFile file, Func<int, ComputeDevice> deviceOf, int stages, SliceOptions options,
        ActivationFormat format = ActivationFormat.F32, IProgress<LoadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        SliceRange[] ranges = SliceRange.Split(file.Config.LayerCount, stages);
        long total = ranges.Sum(range => ModelSlice.BytesOf(file, range)), before = 0;
        var executors = new List<StageExecutor>(stages);
        try
        {
            foreach (SliceRange range in ranges)
            {
                long offset = before;
                var part = progress is null ? null : new Relay(p => progress.Report(new LoadProgress(offset + p.BytesLoaded, total)));
                var slice = ModelSlice.Load(file, deviceOf(executors.Count), range, options, part, cancellationToken);
                executors.Add(new StageExecutor(slice, options.MaxSequences));
                before += slice.WeightBytes;
            }

            return new LocalPipeline([.. executors], format);
        }
        catch
        {
            executors.ForEach(executor => executor.Dispose());
            throw;
        }
    }

    /// <summary>Runs a step through all slices.</summary>
    /// <param name="step">The rows.</param>
    /// <param name="allLogits">Whether logits are wanted for every row, not only where a token is sampled.</param>
    public void Run(Step step, bool allLogits = false)
    {
        Span<byte> payload = _payload.AsSpan(0, _stages[0].PayloadBytes(step.RowCount, _format));
        for (int i = 0; i < _stages.Length; i++)
        {
            _stages[i].Run(step, payload, _format, allLogits);
            if (i < _stages.Length - 1)
                _stages[i].GetOutput(step, payload, _format);
        }
    }

    /// <summary>Copies the logits of the i-th row that the last step computed logits for.</summary>
    public void GetLogits(int index, Span<float> logits) => _stages[^1].GetLogits(index, logits);

    /// <summary>Samples the tokens that the last step asked for.</summary>
    public void Sample(Step step, SampledTokens result) => _stages[^1].Sample(step, result);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (StageExecutor stage in _stages)
            stage.Dispose();
    }

    // Progress<T> would post to the thread pool; these reports are wanted in order.
    private sealed class Relay(Action<LoadProgress> report) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => report(value);
    }
}
