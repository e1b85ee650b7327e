using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Slices;

/// <summary>
/// A contiguous part of a model on a device: its weights, its KV pool and the buffers of one step. One thread at a time uses it.
/// </summary>
/// <remarks>
/// Slices that share a device take turns (<see cref="ComputeDevice.Turns"/>). Loading and disposing take them here, loading one for each
/// tensor, so that another slice goes on meanwhile; whoever computes takes one around a step.
/// The forward pass is the Llama architecture's (Touvron et al. 2023): pre-norm residual layers of grouped-query attention with
/// rotary positions and a SwiGLU feed-forward.
/// </remarks>
public sealed class ModelSlice : IDisposable
{
    private readonly ComputeDevice _device;
    private readonly Action _step;
    private readonly LlamaConfig _config;
    private readonly RopePairing _pairing;
    private readonly List<IDisposable> _resources = [];
    private readonly LayerWeights[] _layers;
    private readonly WeightMatrix? _embedding;
    private readonly WeightMatrix? _head;
    private readonly DeviceTensor? _outputNorm;
    private readonly DeviceBatch _batch;
    private readonly DeviceTensor _hidden;
    private readonly LayerBuffers? _buffers;
    private readonly DeviceTensor? _logitRows;
    private readonly DeviceTensor? _logits;

    private ModelSlice(
        ModelFile file, ComputeDevice device, SliceRange range, SliceOptions options, IProgress<LoadProgress>? progress,
        CancellationToken cancellationToken)
    {
        _device = device;
        _step = Step;
        _config = file.Config;
        _pairing = file.Pairing;
        Range = range;
        Options = options;
        _layers = new LayerWeights[range.LayerCount];
        try
        {
            long loaded = 0;
            WeightBytes = BytesOf(file, range);
            void Report(long bytes) => progress?.Report(new LoadProgress(loaded += bytes, WeightBytes));

            TensorData head = file.Tensor(TensorRole.OutputHead), embedding = file.Tensor(TensorRole.TokenEmbedding);
            bool shared = range.HasEmbedding && range.HasHead && head.Address == embedding.Address;
            if (range.HasEmbedding)
            {
                _embedding = Own(() => device.LoadMatrix(embedding, shared ? WeightUse.LookupAndProduct : WeightUse.Lookup));
                Report(embedding.ByteCount);
            }

            for (int i = 0; i < _layers.Length; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                _layers[i] = Keep(LayerWeights.Load(file, device, range.First + i));
                Report(LayerWeights.BytesOf(file, range.First + i));
            }

            if (range.HasHead)
            {
                _outputNorm = Own(() => device.LoadVector(file.Tensor(TensorRole.OutputNorm)));
                _head = shared ? _embedding : Own(() => device.LoadMatrix(head, WeightUse.Product));
                _logitRows = Own(() => device.Allocate(options.MaxLogitRows, _config.HiddenSize));
                _logits = Own(() => device.Allocate(options.MaxLogitRows, _config.VocabularySize));
                Report(WeightBytes - loaded);
            }

            Kv = Own(() => new KvPool(
                device, new KvShape(range.LayerCount, options.KvBlocks, _config.KvHeadCount, _config.HeadDim, options.KvFormat)));
            _batch = Own(() => device.AllocateBatch(options.MaxRows, options.MaxSequences, MaxTableEntries(options)));
            _hidden = Own(() => device.Allocate(options.MaxRows, _config.HiddenSize));
            _buffers = _layers.Length > 0 ? Own(() => new LayerBuffers(device, _config, options.MaxRows, file.RopeFrequencies)) : null;
            Memory = MeasureMemory();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The part of the model that this is.</summary>
    public SliceRange Range { get; }

    /// <summary>The largest batch it is prepared for.</summary>
    public SliceOptions Options { get; }

    /// <summary>Its KV blocks.</summary>
    public KvPool Kv { get; }

    /// <summary>Bytes of its weights in the file.</summary>
    public long WeightBytes { get; }

    /// <summary>What it takes, on the device and of the mapped file.</summary>
    public SliceMemory Memory { get; }

    /// <summary>Width of the residual stream.</summary>
    public int HiddenSize => _config.HiddenSize;

    /// <summary>Tokens of the vocabulary.</summary>
    public int VocabularySize => _config.VocabularySize;

    /// <summary>Loads a slice. The file must outlive it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The model has no such layers.</exception>
    public static ModelSlice Load(
        ModelFile file, ComputeDevice device, SliceRange range, SliceOptions options, IProgress<LoadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        if (range.First < 0 || range.Last < range.First || range.Last > file.Config.LayerCount)
            throw new ArgumentOutOfRangeException(nameof(range), range, $"the model has layers [0, {file.Config.LayerCount})");
        return new ModelSlice(file, device, range, options, progress, cancellationToken);
    }

    /// <summary>Bytes that a slice's weights take in the file; a tied head is counted once.</summary>
    public static long BytesOf(ModelFile file, SliceRange range)
    {
        long bytes = 0;
        TensorData head = file.Tensor(TensorRole.OutputHead), embedding = file.Tensor(TensorRole.TokenEmbedding);
        if (range.HasEmbedding)
            bytes += embedding.ByteCount;
        for (int layer = range.First; layer < range.Last; layer++)
            bytes += LayerWeights.BytesOf(file, layer);
        if (range.HasHead)
            bytes += file.Tensor(TensorRole.OutputNorm).ByteCount;
        if (range.HasHead && !(range.HasEmbedding && head.Address == embedding.Address))
            bytes += head.ByteCount;
        return bytes;
    }

    /// <summary>Entries of all block tables of the largest batch.</summary>
    public static int MaxTableEntries(SliceOptions options) =>
        checked(options.MaxSequences * KvPool.BlocksFor(options.ContextLength));

    /// <summary>Sets the residual stream [rows, hidden] that the previous slice computed.</summary>
    public void SetHidden(ReadOnlySpan<float> hidden) => _hidden.Upload(hidden);

    /// <summary>Copies the residual stream after the last layer, from row 0 on.</summary>
    public void GetHidden(Span<float> hidden) => _hidden.Download(0, hidden);

    /// <summary>Copies the logits of the i-th row that asked for them.</summary>
    public void GetLogits(int index, Span<float> logits) =>
        (_logits ?? throw new InvalidOperationException("this slice has no head")).Download(index, logits);

    /// <summary>
    /// Whether logits are far from the host, so that their largest (<see cref="GetTopCandidates"/>) are worth asking for instead of all.
    /// </summary>
    public bool HasRemoteLogits => _logits is not null && _device.Kind != DeviceKind.Host;

    /// <summary>The largest logits of the first rows that asked for them: [rows, count], largest first.</summary>
    public void GetTopCandidates(int rows, int count, Span<Candidate> best) =>
        _device.TopCandidates(_logits ?? throw new InvalidOperationException("this slice has no head"), rows, count, best);

    /// <summary>Carries a batch through the slice: from its tokens or the hidden state set before, to the hidden state or logits.</summary>
    public void Forward(RaggedBatch batch)
    {
        _batch.Load(batch);
        _device.RunStep(_batch, _step);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using DeviceTurns.Turn turn = _device.Turns.Take();
        for (int i = _resources.Count - 1; i >= 0; i--)
            _resources[i].Dispose();
        _resources.Clear();
    }

    private void Step()
    {
        if (_embedding is not null)
            _device.Embed(_embedding, _batch, _hidden);

        if (_buffers is not null)
            _device.RopeAngles(_buffers.Frequencies, _batch, _buffers.Angles);
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            Attention(_layers[layer], _buffers!, layer);
            FeedForward(_layers[layer], _buffers!);
        }

        if (_head is not null)
            Head();
    }

    // h = x + attention(norm(x))
    private void Attention(LayerWeights w, LayerBuffers b, int layer)
    {
        int rows = _batch.RowCount;
        _device.NormedLinear(
            _hidden, w.AttentionNorm, _config.RmsNormEpsilon, [new(w.Query, b.Query), new(w.Key, b.Key), new(w.Value, b.Value)], rows, b.Normed);
        _device.RopeAndAppendKv(b.Query, b.Key, b.Value, b.Angles, _pairing, Kv.Cache!, layer, _batch);
        _device.PagedAttention(b.Query, Kv.Cache!, layer, _batch, b.Attended);
        _device.LinearAdd(w.AttentionOutput, b.Attended, rows, _hidden, b.Normed);
    }

    // out = h + down(silu(gate(norm(h))) * up(norm(h)))
    private void FeedForward(LayerWeights w, LayerBuffers b)
    {
        int rows = _batch.RowCount;
        _device.NormedLinear(_hidden, w.FeedForwardNorm, _config.RmsNormEpsilon, [new(w.Gate, b.Gate), new(w.Up, b.Up)], rows, b.Normed);
        _device.GatedLinearAdd(w.Down, b.Gate, b.Up, rows, _hidden, b.Normed);
    }

    private void Head()
    {
        if (_batch.LogitRowCount == 0)
            return;
        _device.SelectLogitRows(_hidden, _batch, _logitRows!);
        _device.RmsNorm(_logitRows!, _outputNorm!, _config.RmsNormEpsilon, _batch.LogitRowCount, _logitRows!);
        _device.Linear(_head!, _logitRows!, _batch.LogitRowCount, _logits!);
    }

    private SliceMemory MeasureMemory()
    {
        WeightMatrix? head = ReferenceEquals(_head, _embedding) ? null : _head;
        long copies = _layers.Sum(layer => layer.CopyBytes)
            + (_embedding?.DeviceBytes ?? 0) + (head?.DeviceBytes ?? 0) + (_outputNorm?.ByteCount ?? 0);
        long buffers = _hidden.ByteCount + (_buffers?.ByteCount ?? 0) + (_logitRows?.ByteCount ?? 0) + (_logits?.ByteCount ?? 0);
        return new SliceMemory(WeightBytes, copies, Kv.ByteCount, Options.KvBlocks * KvShape.BlockSize, buffers);
    }

    private T Own<T>(Func<T> make)
        where T : IDisposable => Keep(_device.Turns.During(make));

    private T Keep<T>(T resource)
        where T : IDisposable
    {
        _resources.Add(resource);
        return resource;
    }
}
