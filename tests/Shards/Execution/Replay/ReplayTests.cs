using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Execution.Replay;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Execution.Replay;

/// <summary>After a loss, what a stage holds is not computed again, and nobody can tell from the answers.</summary>
public sealed class ReplayTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ModelFile _file;
    private readonly int[] _text;
    private readonly int[] _blocks = [7, 3, 12, 0, 21, 9];

    public ReplayTests()
    {
        string path = _folder.At("tiny.gguf");
        ModelSynthesizer.Write(new SynthesisOptions { Shape = "tiny", Output = path, Type = WeightFormat.Q8_0, Layers = 3 });
        _file = ModelFile.Open(path);
        var random = new Random(5);
        _text = [.. Enumerable.Range(0, 85).Select(_ => random.Next(_file.Config.VocabularySize))];
    }

    public static TheoryData<int, ActivationFormat, KvFormat> Losses
    {
        get
        {
            var losses = new TheoryData<int, ActivationFormat, KvFormat>();
            for (int stage = 0; stage < ReplayPipeline.Stages; stage++)
            {
                losses.Add(stage, ActivationFormat.F32, KvFormat.F16);
                losses.Add(stage, ActivationFormat.BF16, KvFormat.F16);
                losses.Add(stage, ActivationFormat.F32, KvFormat.Q8_0);
            }

            return losses;
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public void Only_the_lost_slice_must_compute_again(int lost, ActivationFormat format, KvFormat kv)
    {
        using var pipeline = new ReplayPipeline(_file, format, kv);
        int next = pipeline.Prefill(_text, _blocks, 40);
        Assert.Equal([85, 85, 85], pipeline.Computed());

        pipeline.Lose(lost);
        Assert.Equal(next, pipeline.Prefill(_text, _blocks, 24));

        // The last row's logits are wanted, so the stage with the head computes that one.
        long[] wanted = [0, 0, 1];
        wanted[lost] = 85;
        Assert.Equal(wanted, pipeline.Computed());
    }

    [Fact]
    public void Decoded_rows_must_be_reused_like_a_prompts()
    {
        using var pipeline = new ReplayPipeline(_file);
        List<int> text = [.. _text[..30]];
        long sequence = pipeline.NewSequence();
        int next = pipeline.Run(ReplayPipeline.StepOf(new SequenceRun { Sequence = sequence, Begins = true, Samples = true }, [.. text], _blocks))[0];
        for (int i = 0; i < 20; i++)
        {
            int[] token = [next];
            next = pipeline.Run(ReplayPipeline.StepOf(new SequenceRun { Sequence = sequence, FirstPosition = text.Count, Samples = true }, token, []))[0];
            text.Add(token[0]);
        }

        pipeline.Computed();
        pipeline.Lose(1);
        Assert.Equal(next, pipeline.Prefill([.. text], _blocks, 64));
        Assert.Equal([0, 50, 1], pipeline.Computed());
    }

    [Theory]
    [InlineData(0, new long[] { 85, 85, 1 })]
    [InlineData(2, new long[] { 64, 85, 1 })]
    [InlineData(5, new long[] { 16, 85, 1 })]
    public void A_log_that_is_too_small_must_cost_the_stages_before_only_what_it_lacks(int logBlocks, long[] wanted)
    {
        using var pipeline = new ReplayPipeline(_file, logBlocks: logBlocks);
        int next = pipeline.Prefill(_text, _blocks, 40);
        for (int loss = 0; loss < 3; loss++)
        {
            pipeline.Computed();
            pipeline.Lose(1);
            Assert.Equal(next, pipeline.Prefill(_text, _blocks, 24));
            Assert.Equal(wanted, pipeline.Computed());
        }
    }

    [Fact]
    public void A_changed_block_table_must_be_computed_again_from_the_change_on()
    {
        using var pipeline = new ReplayPipeline(_file);
        int next = pipeline.Prefill(_text, _blocks, 64);
        pipeline.Computed();

        pipeline.Reset();
        Assert.Equal(next, pipeline.Prefill(_text, [7, 30, 12, 0, 21, 9], 64));
        Assert.Equal([69, 69, 69], pipeline.Computed());
    }

    [Fact]
    public void Other_tokens_in_the_same_blocks_must_be_computed_from_the_first_that_differs_on()
    {
        using var pipeline = new ReplayPipeline(_file);
        pipeline.Prefill(_text, _blocks, 64);
        int[] other = [.. _text];
        other[20] ^= 1;
        pipeline.Computed();

        pipeline.Reset();
        pipeline.Prefill(other, _blocks, 64);
        Assert.Equal([65, 65, 65], pipeline.Computed());

        // The blocks behind have the old tokens still, but not behind the same text.
        pipeline.Reset();
        pipeline.Prefill(_text, _blocks, 64);
        Assert.Equal([65, 65, 65], pipeline.Computed());
    }

    // The second run begins behind a block that the first one fills in the same step, with a block that was behind its old contents.
    [Fact]
    public void A_block_must_not_count_as_held_behind_one_that_the_same_step_fills_anew()
    {
        using var pipeline = new ReplayPipeline(_file);
        pipeline.Prefill(_text.AsSpan(0, 40), [1, 2, 3], 64);
        pipeline.Reset();
        pipeline.Computed();

        int[] other = [.. _text[..40]];
        other[3] ^= 1;
        Step step = ReplayPipeline.StepOf(new SequenceRun { Sequence = pipeline.NewSequence(), Begins = true }, other.AsSpan(0, 16), [1]);
        step.Add(
            new SequenceRun { Slot = 1, Sequence = pipeline.NewSequence(), FirstPosition = 16, Begins = true, Samples = true }, other.AsSpan(16), [1, 2, 3]);
        pipeline.Run(step);

        Assert.Equal([37, 37, 37], pipeline.Computed());
    }

    [Fact]
    public void A_stage_whose_step_failed_must_compute_everything_again()
    {
        using var pipeline = new ReplayPipeline(_file);
        int next = pipeline.Prefill(_text, _blocks, 64);
        pipeline.Computed();

        pipeline.Fail(1, ReplayPipeline.StepOf(new SequenceRun { Slot = 2, Sequence = pipeline.NewSequence(), Begins = true }, [1, 2, 3], [33]));
        Assert.Equal(next, pipeline.Prefill(_text, _blocks, 64));
        Assert.Equal([0, 85, 1], pipeline.Computed());
    }

    [Fact]
    public void Outputs_in_another_form_than_the_logged_one_must_not_count()
    {
        using var device = new CpuDevice(1);
        var options = new SliceOptions(64, 4, 4, 128, 8, KvFormat.F16);
        using var stage = new StageExecutor(
            ModelSlice.Load(_file, device, new(0, 1, true, false), options), 4, new ReplayOptions(1 << 24, ActivationFormat.BF16));
        Step step = ReplayPipeline.StepOf(new SequenceRun { Begins = true }, _text.AsSpan(0, 32), [1, 2]);
        var single = new byte[stage.PayloadBytes(32, ActivationFormat.F32)];
        for (int i = 1; i <= 2; i++)
        {
            stage.Run(step, [], ActivationFormat.F32);
            stage.GetOutput(step, single, ActivationFormat.F32);
            stage.Reset();
            Assert.Equal(32 * i, stage.RowsComputed);
        }

        var half = new byte[stage.PayloadBytes(32, ActivationFormat.BF16)];
        for (int i = 1; i <= 2; i++)
        {
            stage.Run(step, [], ActivationFormat.BF16);
            stage.GetOutput(step, half, ActivationFormat.BF16);
            stage.Reset();
        }

        Assert.Equal(96, stage.RowsComputed);
        Assert.Equal(32, stage.RowsReused);
    }
}
