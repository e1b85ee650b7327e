using System.Buffers;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;
using MessagePack;

namespace Llama3Cluster.Actors.Tests.Protocol;

public class FrameCodecTests
{
    private readonly FramePool _pool = new();
    private readonly HeaderBuffer _output = new();
    private readonly RunScratch _scratch = new();

    [Fact]
    public void A_step_must_come_back_as_it_was()
    {
        var random = new Random(20);
        for (int i = 0; i < 500; i++)
        {
            StepFrame sent = _pool.RentStep();
            StepFrame received = _pool.RentStep();
            RandomFrames.FillStep(sent, random);

            FrameCodec.WriteStep(_output, sent);
            Assert.Equal(FrameKind.Step, FrameCodec.KindOf(_output.Header));
            FrameCodec.ReadStep(_output.Header, sent.PayloadLength, _scratch, received);

            AssertSame(sent, received);
            sent.Release();
            received.Release();
        }
    }

    [Fact]
    public void Sampling_must_travel_only_when_a_sequence_begins()
    {
        StepFrame sent = _pool.RentStep();
        StepFrame received = _pool.RentStep();
        var run = new SequenceRun { Sampling = SamplingParameters.Greedy, PromptLength = 9, Samples = true };
        sent.Step.Add(run with { Begins = true }, [1], []);
        sent.Step.Add(run with { Slot = 1 }, [2], []);

        FrameCodec.WriteStep(_output, sent);
        FrameCodec.ReadStep(_output.Header, 0, _scratch, received);

        Assert.Equal(0, received.Step.Runs[0].Sampling!.Temperature);
        Assert.Equal(9, received.Step.Runs[0].PromptLength);
        Assert.Null(received.Step.Runs[1].Sampling);
        Assert.Equal(0, received.Step.Runs[1].PromptLength);
    }

    [Fact]
    public void Sampled_tokens_must_come_back_as_they_were()
    {
        var random = new Random(21);
        SampledFrame sent = _pool.RentSampled();
        SampledFrame received = _pool.RentSampled();
        for (int i = 0; i < 500; i++)
        {
            RandomFrames.FillSampled(sent, random);

            FrameCodec.WriteSampled(_output, sent.Tokens);
            FrameCodec.ReadSampled(_output.Header, received.Tokens);

            Assert.Equal(sent.Tokens.Epoch, received.Tokens.Epoch);
            Assert.Equal(sent.Tokens.Step, received.Tokens.Step);
            Assert.Equal(sent.Tokens.Rows, received.Tokens.Rows);
            Assert.Equal(sent.Tokens.Top, received.Tokens.Top);
        }
    }

    [Fact]
    public void Small_frames_must_come_back_as_they_were()
    {
        FrameCodec.WriteNumber(_output, FrameKind.Credit, 3);
        Assert.Equal(3, FrameCodec.ReadCredit(_output.Header));
        FrameCodec.WriteNumber(_output, FrameKind.Ping, long.MaxValue);
        Assert.Equal(long.MaxValue, FrameCodec.ReadPing(_output.Header));
        FrameCodec.WriteNumber(_output, FrameKind.Pong, 0);
        Assert.Equal(0, FrameCodec.ReadPong(_output.Header));
        FrameCodec.WriteBye(_output, "enough");
        Assert.Equal("enough", FrameCodec.ReadBye(_output.Header));
    }

    [Fact]
    public void Handshake_frames_must_come_back_as_they_were()
    {
        byte[] nonce = new byte[FrameCodec.NonceBytes];
        new Random(22).NextBytes(nonce);
        var hello = new Hello(1, 4, "cluster", "replica-ü", 7, -1, "sha256:abc", true, nonce);
        FrameCodec.WriteHello(_output, hello);
        Hello readHello = FrameCodec.ReadHello(_output.Header);
        Assert.Equal(hello with { Nonce = readHello.Nonce }, readHello);
        Assert.Equal(nonce, readHello.Nonce);
        Assert.Equal((1, 4), FrameCodec.ReadVersions(_output.Header));

        FrameCodec.WriteChallenge(_output, new Challenge(ProtocolVersion.Current, nonce));
        Assert.Equal(nonce, FrameCodec.ReadChallenge(_output.Header).Nonce);
        FrameCodec.WriteProof(_output, nonce);
        Assert.Equal(nonce, FrameCodec.ReadProof(_output.Header));
        FrameCodec.WriteProof(_output, []);
        Assert.Empty(FrameCodec.ReadProof(_output.Header));
        FrameCodec.WriteWelcome(_output, new Welcome(8, 1024, nonce));
        Welcome welcome = FrameCodec.ReadWelcome(_output.Header);
        Assert.Equal(new Welcome(8, 1024, welcome.Proof), welcome);
        Assert.Equal(nonce, welcome.Proof);
        FrameCodec.WriteRefused(_output, new Refused(RefusalCode.Linked, "busy"));
        Assert.Equal(new Refused(RefusalCode.Linked, "busy"), FrameCodec.ReadRefused(_output.Header));
    }

    [Fact]
    public void Versions_must_be_read_from_a_hello_whose_rest_is_of_the_future()
    {
        byte[] header = Pack(static (ref MessagePackWriter writer) =>
        {
            writer.WriteArrayHeader(4);
            writer.Write((byte)FrameKind.Hello);
            writer.Write(7);
            writer.Write(9);
            writer.WriteMapHeader(0);
        });

        Assert.Equal((7, 9), FrameCodec.ReadVersions(header));
        Assert.Throws<ProtocolException>(() => FrameCodec.ReadHello(header));
    }

    [Fact]
    public void A_reason_must_travel_on_one_line_of_limited_length()
    {
        FrameCodec.WriteBye(_output, "line one\nline two\u001b[31m" + new string('é', 5000));

        string reason = FrameCodec.ReadBye(_output.Header);

        Assert.StartsWith("line one line two [31m", reason, StringComparison.Ordinal);
        Assert.EndsWith("…", reason, StringComparison.Ordinal);
        Assert.InRange(reason.Length, 100, FrameLimits.MaxReasonBytes);
    }

    [Fact]
    public void Unknown_kinds_must_be_refused()
    {
        foreach (byte kind in (byte[])[0, (byte)FrameKind.Bye + 1, 255])
        {
            byte[] header = Pack((ref MessagePackWriter writer) =>
            {
                writer.WriteArrayHeader(1);
                writer.Write(kind);
            });
            var exception = Assert.Throws<ProtocolException>(() => FrameCodec.KindOf(header));
            Assert.Contains($"{kind}", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Trailing_bytes_must_be_refused()
    {
        var random = new Random(23);
        StepFrame step = _pool.RentStep();
        RandomFrames.FillStep(step, random);
        FrameCodec.WriteStep(_output, step);
        byte[] longStep = [.. _output.Header.Span, 0];
        Assert.Throws<ProtocolException>(() => FrameCodec.ReadStep(longStep, step.PayloadLength, _scratch, _pool.RentStep()));

        FrameCodec.WriteNumber(_output, FrameKind.Credit, 1);
        byte[] longCredit = [.. _output.Header.Span, 0xc0];
        Assert.Throws<ProtocolException>(() => FrameCodec.ReadCredit(longCredit));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(FrameLimits.MaxCredits + 1L)]
    [InlineData(long.MaxValue)]
    public void Credits_must_be_within_their_limits(long credits)
    {
        FrameCodec.WriteNumber(_output, FrameKind.Credit, credits);

        Assert.Throws<ProtocolException>(() => FrameCodec.ReadCredit(_output.Header));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(8 * 3 + 4)]
    public void A_payload_that_does_not_divide_into_the_rows_must_be_refused(int payloadLength)
    {
        StepFrame frame = _pool.RentStep();
        frame.Step.Add(new SequenceRun { Slot = 1 }, [1, 2, 3], []);
        FrameCodec.WriteStep(_output, frame);

        Assert.Throws<ProtocolException>(() => FrameCodec.ReadStep(_output.Header, payloadLength, _scratch, _pool.RentStep()));
    }

    [Fact]
    public void A_payload_without_rows_must_be_refused()
    {
        FrameCodec.WriteStep(_output, _pool.RentStep());

        Assert.Throws<ProtocolException>(() => FrameCodec.ReadStep(_output.Header, 8, _scratch, _pool.RentStep()));
    }

    [Fact]
    public void Runs_out_of_range_must_be_refused()
    {
        var good = new SequenceRun { Slot = 3, Sequence = 4, FirstPosition = 5 };
        AssertRefused(good with { Slot = -1 }, [1], []);
        AssertRefused(good with { Slot = FrameLimits.MaxSlots }, [1], []);
        AssertRefused(good with { Sequence = -1 }, [1], []);
        AssertRefused(good with { FirstPosition = -1 }, [1], []);
        AssertRefused(good with { FirstPosition = int.MaxValue }, [1], []);
        AssertRefused(good with { SampleIndex = -1 }, [1], []);
        AssertRefused(good, [], []);
        AssertRefused(good, [-1], []);
        AssertRefused(good, [1], [-1]);
        AssertRefused(good with { Begins = true, PromptLength = -1 }, [1], []);
    }

    [Fact]
    public void Sampling_parameters_out_of_range_must_be_refused()
    {
        SamplingParameters good = SamplingParameters.Greedy;
        AssertRefused(good with { Temperature = float.NaN });
        AssertRefused(good with { Temperature = -1 });
        AssertRefused(good with { TopK = -1 });
        AssertRefused(good with { TopP = 1.1f });
        AssertRefused(good with { TopP = 0 });
        AssertRefused(good with { RepetitionPenalty = 0 });
        AssertRefused(good with { MinP = -0.1f });
        AssertRefused(good with { RepetitionPenalty = float.PositiveInfinity });
        AssertRefused(good with { FrequencyPenalty = 3 });
        AssertRefused(good with { PresencePenalty = -3 });
        AssertRefused(good with { LogitBias = new Dictionary<int, float> { [-1] = 0 } });
        AssertRefused(good with { LogitBias = new Dictionary<int, float> { [1] = 101 } });
        AssertRefused(good with { TopLogProbs = SamplingParameters.MaxTopLogProbs + 1 });
    }

    [Fact]
    public void A_header_that_no_reader_takes_must_not_be_sent()
    {
        StepFrame frame = _pool.RentStep();
        frame.Step.Add(new SequenceRun(), Enumerable.Repeat(int.MaxValue, FrameLimits.LargestHeader / 5).ToArray(), []);
        FrameCodec.WriteStep(_output, frame);

        Assert.Throws<ProtocolException>(() => _output.Complete(0));
    }

    private void AssertRefused(SamplingParameters sampling) =>
        AssertRefused(new SequenceRun { Begins = true, Sampling = sampling }, [1], []);

    private void AssertRefused(SequenceRun run, int[] tokens, int[] blocks)
    {
        StepFrame sent = _pool.RentStep();
        sent.Step.Add(run, tokens, blocks);
        FrameCodec.WriteStep(_output, sent);

        Assert.Throws<ProtocolException>(() => FrameCodec.ReadStep(_output.Header, 0, _scratch, _pool.RentStep()));
    }

    private static void AssertSame(StepFrame expected, StepFrame actual)
    {
        Assert.Equal(expected.Step.Epoch, actual.Step.Epoch);
        Assert.Equal(expected.Step.Number, actual.Step.Number);
        Assert.Equal(expected.Format, actual.Format);
        Assert.Equal(expected.PayloadLength, actual.PayloadLength);
        Assert.Equal(expected.Step.Tokens, actual.Step.Tokens);
        Assert.Equal(expected.Step.Blocks, actual.Step.Blocks);
        Assert.Equal(expected.Step.RunCount, actual.Step.RunCount);
        for (int i = 0; i < expected.Step.RunCount; i++)
        {
            SequenceRun run = actual.Step.Runs[i];
            AssertSame(expected.Step.Runs[i].Sampling, run.Sampling);
            Assert.Equal(expected.Step.Runs[i] with { Sampling = null }, run with { Sampling = null });
        }
    }

    private static void AssertSame(SamplingParameters? expected, SamplingParameters? actual)
    {
        Assert.Equal(expected?.LogitBias, actual?.LogitBias);
        Assert.Equal(WithoutBias(expected), WithoutBias(actual));
    }

    /// <summary>Records compare dictionaries by reference.</summary>
    private static SamplingParameters? WithoutBias(SamplingParameters? sampling) =>
        sampling is null ? null : sampling with { LogitBias = new Dictionary<int, float>() };

    private delegate void Packing(ref MessagePackWriter writer);

    private static byte[] Pack(Packing pack)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(output);
        pack(ref writer);
        writer.Flush();
        return output.WrittenSpan.ToArray();
    }
}
