using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>
/// One prompt carried through a model, alone or in company, with the bits of the logits after every position. The company are
/// sequences of other tokens and lengths, whose rows stand before and behind the prompt's.
/// </summary>
internal sealed class BitRun : IDisposable
{
    public const int MostSequences = 33;

    private const int MostRows = 600;

    private readonly CpuDevice _device;
    private readonly LocalPipeline _pipeline;
    private readonly Random _random = new(7);
    private readonly Step _step = new();
    private readonly int[] _lengths = new int[MostSequences];
    private readonly int _vocabulary;
    private readonly int _context;

    public BitRun(ModelFile file, int threads, int context, int stages = 1)
    {
        _device = new CpuDevice(threads);
        _context = context;
        _vocabulary = file.Config.VocabularySize;
        KvFormat kv = file.Tensor(TensorRole.Query).Format == WeightFormat.F32 ? KvFormat.F32 : KvFormat.F16;
        int blocks = MostSequences * KvPool.BlocksFor(context);
        _pipeline = LocalPipeline.Load(file, _ => _device, stages, new SliceOptions(MostRows, MostSequences, MostRows, context, blocks, kv));
    }

    /// <summary>The bits after every position of a prompt that is cut into chunks of a size, the last one shorter.</summary>
    public int[][] InChunks(int[] prompt, int chunk) => Carry(prompt, _ => chunk, _ => 0);

    /// <summary>The bits after every position of a prompt whose rows come one by one, in batches of 1 to 33 sequences in turn.</summary>
    public int[][] InBatches(int[] prompt) => Carry(prompt, _ => 1, step => step % MostSequences);

    /// <summary>The bits after every position of a prompt whose chunks are 1 to 40 rows long and have up to 12 others beside them.</summary>
    public int[][] Mixed(int[] prompt) => Carry(prompt, _ => _random.Next(1, 41), _ => _random.Next(13));

    public void Dispose()
    {
        _pipeline.Dispose();
        _device.Dispose();
    }

    private int[][] Carry(int[] prompt, Func<int, int> chunkOf, Func<int, int> companyOf)
    {
        Array.Clear(_lengths);
        var bits = new int[prompt.Length][];
        var logits = new float[_vocabulary];
        for (int step = 0, position = 0; position < prompt.Length; step++)
        {
            int rows = Math.Min(chunkOf(step), prompt.Length - position), company = companyOf(step), before = _random.Next(company + 1);
            _step.Clear();
            for (int other = 1; other <= before; other++)
                AddOther(other, rows);
            int firstRow = _step.RowCount;
            Add(0, prompt.AsSpan(position, rows));
            for (int other = before + 1; other <= company; other++)
                AddOther(other, rows);

            _pipeline.Run(_step, allLogits: true);
            for (int row = 0; row < rows; row++)
            {
                _pipeline.GetLogits(firstRow + row, logits);
                bits[position++] = MemoryMarshal.Cast<float, int>(logits).ToArray();
            }
        }

        return bits;
    }

    // A sequence that is full starts anew; beside a chunk, the others bring chunks too.
    private void AddOther(int slot, int most)
    {
        var tokens = new int[most == 1 ? 1 : _random.Next(1, 9)];
        if (_lengths[slot] + tokens.Length > _context)
            _lengths[slot] = 0;
        for (int i = 0; i < tokens.Length; i++)
            tokens[i] = _random.Next(_vocabulary);
        Add(slot, tokens);
    }

    private void Add(int slot, ReadOnlySpan<int> tokens)
    {
        int first = _lengths[slot], share = KvPool.BlocksFor(_context);
        bool begins = first == 0;
        var run = new SequenceRun
        {
            Slot = slot,
            Sequence = slot,
            FirstPosition = first,
            Begins = begins,
            Samples = false,
            Sampling = begins ? SamplingParameters.Greedy : null,
            PromptLength = tokens.Length,
        };
        _step.Add(run, tokens, begins ? [.. Enumerable.Range(slot * share, share)] : []);
        _lengths[slot] += tokens.Length;
    }
}
