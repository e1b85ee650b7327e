using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Devices;

/// <summary>
/// Where a slice computes: memory for weights, activations and KV caches, and the fixed set of operations that a Llama layer
/// is made of. Every operation works on a ragged batch: rows of several sequences at once. One thread at a time uses a device; those that
/// share one take <see cref="Turns"/>.
/// </summary>
/// <remarks>
/// No operation assumes that host code can read the device's memory; results come back through
/// <see cref="DeviceTensor.Download"/> only. Operations may run asynchronously, in order; a download waits for them.
/// Batch invariance: the bits of a row's result do not depend on the other rows of the batch, on their number, nor on the
/// number of threads, so that a replayed or re-chunked sequence yields the same tokens.
/// </remarks>
public abstract class ComputeDevice : IDisposable
{
    /// <summary>A name for people: the device and the code path in use, such as <c>cpu (AVX2, 2 threads)</c>.</summary>
    public abstract string Name { get; }

    /// <summary>How it keeps weights and caches.</summary>
    public virtual DeviceKind Kind => DeviceKind.Host;

    /// <summary>Who may use the device, where several threads do.</summary>
    public DeviceTurns Turns { get; } = new();

    /// <summary>Bytes of memory that slices on this device may use.</summary>
    public abstract long MemoryBytes { get; }

    /// <summary>Makes a weight matrix usable. The mapped file must outlive it.</summary>
    /// <param name="data">The matrix in the file.</param>
    /// <param name="use">Which operations will read it.</param>
    public abstract WeightMatrix LoadMatrix(TensorData data, WeightUse use = WeightUse.LookupAndProduct);

    /// <summary>Loads a vector of weights as float32 [1, columns], whatever its format.</summary>
    public abstract DeviceTensor LoadVector(TensorData data);

    /// <summary>Allocates a zeroed float32 tensor.</summary>
    public abstract DeviceTensor Allocate(int rows, int columns);

    /// <summary>Allocates a paged KV cache.</summary>
    public abstract KvCache AllocateKv(KvShape shape);

    /// <summary>Allocates room for a batch of the given capacities (see <see cref="RaggedBatch"/>).</summary>
    public abstract DeviceBatch AllocateBatch(int maxRows, int maxSequences, int maxBlocks);

    /// <summary><c>output[r] = table[token of row r]</c>, dequantized. Output [rows, columns of the table].</summary>
    public abstract void Embed(WeightMatrix table, DeviceBatch batch, DeviceTensor output);

    /// <summary>RMSNorm: <c>output[r] = input[r] / sqrt(mean(input[r]^2) + epsilon) * gain</c>. May run in place.</summary>
    public abstract void RmsNorm(DeviceTensor input, DeviceTensor gain, float epsilon, int rows, DeviceTensor output);

    /// <summary><c>output[r, o] = sum_i weights[o, i] * input[r, i]</c> for the first <paramref name="rows"/> rows.</summary>
    public abstract void Linear(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor output);

    /// <summary>
    /// Several products with the same input, such as queries, keys and values: the same results as one after the other, bit for bit, for
    /// less work on the input.
    /// </summary>
    public virtual void Linear(ReadOnlySpan<LinearTarget> targets, DeviceTensor input, int rows)
    {
        foreach (LinearTarget target in targets)
            Linear(target.Weights, input, rows, target.Output);
    }

    /// <summary>
    /// Products of a normed input: <see cref="RmsNorm"/>, then <see cref="Linear(ReadOnlySpan{LinearTarget}, DeviceTensor, int)"/>. What
    /// <paramref name="normed"/> [rows, columns of the input] holds afterwards is undefined: a device may do both in one pass.
    /// </summary>
    public virtual void NormedLinear(
        DeviceTensor input, DeviceTensor gain, float epsilon, ReadOnlySpan<LinearTarget> targets, int rows, DeviceTensor normed)
    {
        RmsNorm(input, gain, epsilon, rows, normed);
        Linear(targets, normed, rows);
    }

    /// <summary>
    /// <c>accumulator += weights x input</c>. What <paramref name="product"/> [rows, outputs] holds afterwards is undefined.
    /// </summary>
    public virtual void LinearAdd(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor accumulator, DeviceTensor product)
    {
        Linear(weights, input, rows, product);
        Add(accumulator, product, rows);
    }

    /// <summary>
    /// <c>accumulator += weights x (silu(gate) * up)</c>. What <paramref name="gate"/> and <paramref name="product"/> [rows, outputs] hold
    /// afterwards is undefined.
    /// </summary>
    public virtual void GatedLinearAdd(
        WeightMatrix weights, DeviceTensor gate, DeviceTensor up, int rows, DeviceTensor accumulator, DeviceTensor product)
    {
        SwiGlu(gate, up, rows, gate);
        LinearAdd(weights, gate, rows, accumulator, product);
    }

    /// <summary>
    /// Runs a slice's step. The same <paramref name="step"/> enqueues the same operations on the same tensors whenever the batch has the
    /// same shape, and neither uploads nor downloads: a device may record them once and replay them.
    /// </summary>
    public virtual void RunStep(DeviceBatch batch, Action step) => step();

    /// <summary>
    /// The rotations of this batch's positions: <c>angles[r] = (cos(p f_0) … cos(p f_(d/2-1)), sin(p f_0) …)</c> with p the position
    /// of row r. <paramref name="frequencies"/> is [2, d/2]: each frequency's leading float32 and the rest that it leaves, so that long
    /// contexts keep their precision; <paramref name="angles"/> is [rows, d]. Computed once a step for all layers.
    /// </summary>
    public abstract void RopeAngles(DeviceTensor frequencies, DeviceBatch batch, DeviceTensor angles);

    /// <summary>
    /// Rotates <paramref name="query"/> [rows, heads * d] in place and <paramref name="key"/> [rows, kvHeads * d] by the angles, and
    /// stores key and value in the cache's blocks for their positions.
    /// </summary>
    public abstract void RopeAndAppendKv(
        DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor angles, RopePairing pairing,
        KvCache cache, int layer, DeviceBatch batch);

    /// <summary>
    /// Causal attention with grouped heads over the paged cache: row r sees the positions up to its own.
    /// <c>output[r, h] = softmax(q_h . K / sqrt(d)) V</c> with query head h on KV head <c>h / (heads / kvHeads)</c>.
    /// Query and output are [rows, heads * d].
    /// </summary>
    public abstract void PagedAttention(DeviceTensor query, KvCache cache, int layer, DeviceBatch batch, DeviceTensor output);

    /// <summary><c>output = silu(gate) * up</c>, element by element over [rows, columns]. May run in place.</summary>
    public abstract void SwiGlu(DeviceTensor gate, DeviceTensor up, int rows, DeviceTensor output);

    /// <summary><c>accumulator += addend</c> over the first <paramref name="rows"/> rows.</summary>
    public abstract void Add(DeviceTensor accumulator, DeviceTensor addend, int rows);

    /// <summary>Gathers the rows whose logits are wanted: <c>output[i] = input[logit row i]</c>.</summary>
    public abstract void SelectLogitRows(DeviceTensor input, DeviceBatch batch, DeviceTensor output);

    /// <summary>The index of each row's largest element, the lowest of equals. Waits for the device.</summary>
    public abstract void ArgMax(DeviceTensor logits, int rows, Span<int> indices);

    /// <summary>
    /// The largest elements of each row: largest first, of equals the lowest index first; -0 is 0, and a NaN less than every number. Waits for
    /// the device.
    /// </summary>
    /// <param name="logits">The rows.</param>
    /// <param name="rows">How many of them.</param>
    /// <param name="count">How many elements of each: 1 to <see cref="Candidate.Most"/>, and no more than a row has.</param>
    /// <param name="best">Where they go, [rows, count].</param>
    public virtual void TopCandidates(DeviceTensor logits, int rows, int count, Span<Candidate> best)
    {
        OperationChecks.TopCandidates(logits, rows, count, best);
        var row = new float[logits.Columns];
        for (int r = 0; r < rows; r++)
        {
            logits.Download(r, row);
            Candidate.Select(row, best.Slice(r * count, count));
        }
    }

    /// <summary>Waits until every operation so far has finished.</summary>
    public virtual void Synchronize()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the device's threads or context. Tensors of the device are disposed first.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }
}
