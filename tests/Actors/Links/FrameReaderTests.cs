using System.Net;
using Llama3Cluster.Actors.Links;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Actors.Tests.Protocol;

namespace Llama3Cluster.Actors.Tests.Links;

public class FrameReaderTests
{
    private readonly FramePool _pool = new();
    private readonly RunScratch _scratch = new();

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(4096)]
    [InlineData(int.MaxValue)]
    public void Frames_must_come_out_whole_however_the_stream_is_cut(int chunk)
    {
        var random = new Random(50);
        var stream = new MemoryStream();
        var writer = new FrameWriter(new Pipe(stream, int.MaxValue)) { MaxPayloadBytes = int.MaxValue };
        StepFrame[] sent = [.. Enumerable.Range(0, 60).Select(_ => _pool.RentStep())];
        foreach (StepFrame frame in sent)
        {
            RandomFrames.FillStep(frame, random, maxRuns: 20, maxRows: 300, width: 64);
            writer.Send(frame);
        }

        stream.Position = 0;
        var reader = new FrameReader(new Pipe(stream, chunk)) { Limits = new FrameLimits(FrameLimits.LargestHeader, 64 << 20) };
        foreach (StepFrame expected in sent)
        {
            StepFrame actual = _pool.RentStep();
            Assert.True(reader.ReadHeader());
            FrameCodec.ReadStep(reader.Header, reader.PayloadLength, _scratch, actual);
            reader.ReadPayload(actual.PreparePayload(reader.PayloadLength));
            Assert.Equal(expected.Step.Number, actual.Step.Number);
            Assert.Equal(expected.Step.Tokens, actual.Step.Tokens);
            Assert.True(expected.Payload.SequenceEqual(actual.Payload));
            actual.Release();
            expected.Release();
        }

        Assert.False(reader.ReadHeader());
    }

    [Fact]
    public void Lengths_beyond_the_limits_must_be_refused_before_anything_is_read_for_them()
    {
        AssertRefused([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        AssertRefused([0, 0, 0, 0, 0, 0, 0, 0]);
        AssertRefused([101, 0, 0, 0, 0, 0, 0, 0]);
        AssertRefused([1, 0, 0, 0, 201, 0, 0, 0]);
        AssertRefused([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }

    [Fact]
    public void A_stream_that_ends_inside_a_frame_must_be_told_from_one_that_ends_between()
    {
        var stream = new MemoryStream();
        var writer = new FrameWriter(new Pipe(stream, int.MaxValue)) { MaxPayloadBytes = 1000 };
        StepFrame frame = _pool.RentStep();
        frame.Step.Add(default, [1], []);
        frame.PreparePayload(40);
        writer.Send(frame);
        byte[] whole = stream.ToArray();

        for (int length = 0; length <= whole.Length; length++)
        {
            FrameReader reader = Reader(whole[..length]);
            if (length is 0)
                Assert.False(reader.ReadHeader());
            else if (length == whole.Length)
                Assert.Equal(40, Read(reader));
            else
                Assert.Throws<EndOfStreamException>(() => Read(reader));
        }
    }

    [Fact]
    public void A_payload_must_be_read_before_the_next_frame()
    {
        FrameReader reader = Reader([1, 0, 0, 0, 4, 0, 0, 0, 0x90, 1, 2, 3, 4]);
        reader.ReadHeader();

        Assert.Throws<InvalidOperationException>(() => reader.ReadHeader());
        Assert.Throws<ArgumentException>(() => reader.ReadPayload(new byte[3]));
    }

    private static int Read(FrameReader reader)
    {
        Assert.True(reader.ReadHeader());
        byte[] payload = new byte[reader.PayloadLength];
        reader.ReadPayload(payload);
        return payload.Length;
    }

    private static void AssertRefused(byte[] prefix) => Assert.Throws<ProtocolException>(() => Reader([.. prefix, .. new byte[300]]).ReadHeader());

    private static FrameReader Reader(byte[] bytes) =>
        new(new Pipe(new MemoryStream(bytes), int.MaxValue)) { Limits = new FrameLimits(MaxHeaderBytes: 100, MaxPayloadBytes: 200) };

    /// <summary>A stream as a transport, which gives at most so many bytes at a time.</summary>
    private sealed class Pipe(Stream stream, int chunk) : ILinkTransport
    {
        public IPEndPoint Peer => new(IPAddress.Loopback, 0);

        public TimeSpan ReceiveTimeout { get; set; }

        public TimeSpan SendTimeout { get; set; }

        public int Receive(Span<byte> destination) => stream.Read(destination[..Math.Min(chunk, destination.Length)]);

        public void Send(ArraySegment<byte> header, ArraySegment<byte> payload)
        {
            stream.Write(header);
            stream.Write(payload);
        }

        public void Dispose() => stream.Dispose();
    }
}
