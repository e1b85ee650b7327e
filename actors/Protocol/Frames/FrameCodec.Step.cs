using Llama3Cluster.Shards.Execution;
using MessagePack;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>Where a reader puts a run's numbers before it knows that they are good. Grows and stays.</summary>
internal sealed class RunScratch
{
    private int[] _tokens = new int[64];
    private int[] _blocks = new int[64];

    public Span<int> Tokens(int count) => Sized(ref _tokens, count);

    public Span<int> Blocks(int count) => Sized(ref _blocks, count);

    private static Span<int> Sized(ref int[] array, int count)
    {
        if (count > array.Length)
            array = new int[Math.Max(count, 2 * array.Length)];
        return array.AsSpan(0, count);
    }
}

// [kind, epoch, number, format, [run...]]
// run: [slot, sequence, position, sample index, flags, [token...], [block...]] and, if it begins, [prompt length, sampling | nil]
internal static partial class FrameCodec
{
    private const int StepElements = 5;
    private const int RunElements = 7;
    private const int BeginningRunElements = 9;

    [Flags]
    private enum RunFlags : byte
    {
        None = 0,
        Begins = 1,
        Samples = 2,
    }

    /// <summary>Writes the header of a step.</summary>
    public static void WriteStep(HeaderBuffer output, StepFrame frame)
    {
        Step step = frame.Step;
        MessagePackWriter writer = Begin(output, FrameKind.Step, StepElements);
        writer.Write(step.Epoch);
        writer.Write(step.Number);
        writer.Write((byte)frame.Format);
        writer.WriteArrayHeader(step.RunCount);
        foreach (ref readonly SequenceRun run in step.Runs)
            WriteRun(ref writer, step, run);
        writer.Flush();
    }

    /// <summary>Reads the header of a step into an empty frame, and makes room for the payload that follows.</summary>
    public static void ReadStep(ReadOnlyMemory<byte> header, int payloadLength, RunScratch scratch, StepFrame frame)
    {
        try
        {
            MessagePackReader reader = Open(header, FrameKind.Step, StepElements);
            Step step = frame.Step;
            step.Epoch = ReadLong(ref reader, "epoch");
            step.Number = ReadLong(ref reader, "step number");
            frame.Format = (ActivationFormat)ReadInt(ref reader, 0, (int)ActivationFormat.BF16, "activation format");
            int runs = reader.ReadArrayHeader();
            for (int i = 0; i < runs; i++)
                ReadRun(ref reader, scratch, step);
            Close(ref reader);
            CheckPayload(step, frame.Format, payloadLength);
            frame.PreparePayload(payloadLength);
        }
        catch (Exception exception) when (IsMalformed(exception))
        {
            throw Malformed(FrameKind.Step, exception);
        }
    }

    private static void WriteRun(ref MessagePackWriter writer, Step step, in SequenceRun run)
    {
        writer.WriteArrayHeader(run.Begins ? BeginningRunElements : RunElements);
        writer.Write(run.Slot);
        writer.Write(run.Sequence);
        writer.Write(run.FirstPosition);
        writer.Write(run.SampleIndex);
        writer.Write((byte)((run.Begins ? RunFlags.Begins : 0) | (run.Samples ? RunFlags.Samples : 0)));
        WriteInts(ref writer, step.TokensOf(run));
        WriteInts(ref writer, step.BlocksOf(run));
        if (!run.Begins)
            return;

        writer.Write(run.PromptLength);
        if (run.Sampling is null)
            writer.WriteNil();
        else
            WriteSampling(ref writer, run.Sampling);
    }

    private static void ReadRun(ref MessagePackReader reader, RunScratch scratch, Step step)
    {
        int elements = reader.ReadArrayHeader();
        if (elements is not (RunElements or BeginningRunElements))
            throw new ProtocolException($"a run has {elements} elements instead of {RunElements} or {BeginningRunElements}");

        int slot = ReadInt(ref reader, 0, FrameLimits.MaxSlots - 1, "slot");
        long sequence = ReadLong(ref reader, "sequence");
        int firstPosition = ReadInt(ref reader, 0, int.MaxValue, "position");
        int sampleIndex = ReadInt(ref reader, 0, int.MaxValue, "sample index");
        var flags = (RunFlags)ReadInt(ref reader, 0, (int)(RunFlags.Begins | RunFlags.Samples), "run flags");
        bool begins = (flags & RunFlags.Begins) != 0;
        if (begins != (elements == BeginningRunElements))
            throw new ProtocolException($"a run with {elements} elements says that it {(begins ? "begins" : "goes on")}");

        // ReadArrayHeader has checked the count against the bytes that are left, a byte or more an element.
        Span<int> tokens = scratch.Tokens(reader.ReadArrayHeader());
        ReadInts(ref reader, tokens, "token");
        Span<int> blocks = scratch.Blocks(reader.ReadArrayHeader());
        ReadInts(ref reader, blocks, "block");
        if (tokens.IsEmpty)
            throw new ProtocolException($"the run of slot {slot} has no rows");
        Between((long)firstPosition + tokens.Length, 1, int.MaxValue, "the run's last position");

        step.Add(
            new SequenceRun
            {
                Slot = slot,
                Sequence = sequence,
                FirstPosition = firstPosition,
                SampleIndex = sampleIndex,
                Begins = begins,
                Samples = (flags & RunFlags.Samples) != 0,
                PromptLength = begins ? ReadInt(ref reader, 0, int.MaxValue, "prompt length") : 0,
                Sampling = begins ? ReadSampling(ref reader) : null,
            },
            tokens,
            blocks);
    }

    private static void WriteInts(ref MessagePackWriter writer, scoped ReadOnlySpan<int> values)
    {
        writer.WriteArrayHeader(values.Length);
        foreach (int value in values)
            writer.Write(value);
    }

    private static void ReadInts(ref MessagePackReader reader, Span<int> values, string name)
    {
        foreach (ref int value in values)
            value = ReadInt(ref reader, 0, int.MaxValue, name);
    }

    /// <summary>A payload holds the same number of elements for every row; which number, only the stage knows.</summary>
    private static void CheckPayload(Step step, ActivationFormat format, int payloadLength)
    {
        long rowUnit = (long)step.RowCount * format.ElementBytes();
        if (payloadLength != 0 && (rowUnit == 0 || payloadLength % rowUnit != 0))
        {
            throw new ProtocolException(
                $"a payload of {payloadLength} bytes does not divide into {step.RowCount} rows of {format} elements");
        }
    }
}
