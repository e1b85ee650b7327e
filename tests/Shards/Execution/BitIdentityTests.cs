using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>
/// The bits of a whole model's logits must not depend on how a prompt is cut, who shares its batches, how many threads compute, or
/// where the model is cut.
/// </summary>
public sealed class BitIdentityTests : IDisposable
{
    private const int Positions = 600;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<WeightFormat> Formats => [.. Enum.GetValues<WeightFormat>()];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_chunk_size_and_thread_count_must_give_the_same_bits()
    {
        using ModelFile file = Model(WeightFormat.Q4_0);
        int[] prompt = Prompt(file);
        int[][] wanted = Run(file, threads: 1, run => run.InChunks(prompt, 64));
        for (int threads = 1; threads <= 4; threads++)
        {
            using var run = new BitRun(file, threads, Positions);
            foreach (int chunk in (int[])[1, 7, 64, 512])
                MustBeEqual(wanted, run.InChunks(prompt, chunk), $"{threads} threads, chunks of {chunk}");
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Company_in_a_batch_must_not_change_the_bits(WeightFormat format)
    {
        using ModelFile file = Model(format);
        int[] prompt = Prompt(file);
        int[][] wanted = Run(file, threads: 1, run => run.InChunks(prompt, 512));
        MustBeEqual(wanted, Run(file, threads: 2, run => run.InBatches(prompt)), "batches of 1 to 33 sequences");
        MustBeEqual(wanted, Run(file, threads: 3, run => run.Mixed(prompt)), "chunks beside others");
        MustBeEqual(wanted, Run(file, threads: 2, run => run.InChunks(prompt, 7), stages: 2), "two stages, chunks of 7");
    }

    // What the other tests rest on: a difference anywhere is seen, and only where it can matter.
    [Fact]
    public void Another_token_must_change_the_bits_from_its_position_on()
    {
        const int Changed = 333;
        using ModelFile file = Model(WeightFormat.Q8_0);
        int[] prompt = Prompt(file);
        using var run = new BitRun(file, 2, Positions);
        int[][] before = run.InChunks(prompt, 64);

        prompt[Changed] ^= 1;
        int[][] after = run.InChunks(prompt, 64);

        Assert.Equal(Enumerable.Range(Changed, Positions - Changed), Differing(before, after));
    }

    private static int[][] Run(ModelFile file, int threads, Func<BitRun, int[][]> carry, int stages = 1)
    {
        using var run = new BitRun(file, threads, Positions, stages);
        return carry(run);
    }

    private static void MustBeEqual(int[][] wanted, int[][] found, string how)
    {
        int[] positions = [.. Differing(wanted, found)];
        Assert.True(positions.Length == 0, $"{how}: {positions.Length} positions differ, the first is {positions.FirstOrDefault()}");
    }

    private static IEnumerable<int> Differing(int[][] a, int[][] b) =>
        Enumerable.Range(0, Positions).Where(position => !a[position].AsSpan().SequenceEqual(b[position]));

    private static int[] Prompt(ModelFile file)
    {
        var random = new Random(11);
        return [.. Enumerable.Range(0, Positions).Select(_ => random.Next(file.Config.VocabularySize))];
    }

    private ModelFile Model(WeightFormat format)
    {
        string path = _folder.At($"{format}.gguf");
        ModelSynthesizer.Write(new SynthesisOptions { Shape = "tiny", Output = path, Type = format, Layers = 2 });
        return ModelFile.Open(path);
    }
}
