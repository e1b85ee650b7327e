using System.Buffers.Binary;
using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Protocol;

public class FrameCodecFuzzTests
{
    private const int Rounds = 4000;
    private readonly FramePool _pool = new();
    private readonly RunScratch _scratch = new();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Mutated_headers_must_only_ever_be_refused(int seed)
    {
        var random = new Random(seed);
        byte[][] headers = Headers(random);
        ReadAll(headers[0]); // compiled before allocations are counted
        for (int i = 0; i < Rounds; i++)
        {
            byte[] mutated = Mutate(headers[random.Next(headers.Length)], random);

            long before = GC.GetAllocatedBytesForCurrentThread();
            ReadAll(mutated);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

            // A header of a few hundred bytes can announce 2^32 elements; what is allocated for it stays in proportion.
            Assert.InRange(allocated, 0, 256 << 10);
        }

        Assert.Equal(0, _pool.Outstanding);
    }

    /// <summary>Every reader gets every header: none may fail otherwise than by refusing it.</summary>
    private void ReadAll(byte[] header)
    {
        Refusable(() => FrameCodec.KindOf(header));
        Refusable(() => FrameCodec.ReadVersions(header));
        Refusable(() => FrameCodec.ReadHello(header));
        Refusable(() => FrameCodec.ReadChallenge(header));
        Refusable(() => FrameCodec.ReadProof(header));
        Refusable(() => FrameCodec.ReadWelcome(header));
        Refusable(() => FrameCodec.ReadRefused(header));
        Refusable(() => FrameCodec.ReadCredit(header));
        Refusable(() => FrameCodec.ReadPing(header));
        Refusable(() => FrameCodec.ReadBye(header));
        StepFrame step = _pool.RentStep();
        Refusable(() => FrameCodec.ReadStep(header, 0, _scratch, step));
        step.Release();
        SampledFrame sampled = _pool.RentSampled();
        Refusable(() => FrameCodec.ReadSampled(header, sampled.Tokens));
        sampled.Release();
    }

    private byte[][] Headers(Random random)
    {
        var output = new HeaderBuffer();
        byte[] bytes = new byte[32];
        var headers = new List<byte[]>();
        for (int i = 0; i < 20; i++)
        {
            StepFrame step = _pool.RentStep();
            RandomFrames.FillStep(step, random);
            Keep(() => FrameCodec.WriteStep(output, step));
            step.Release();
            SampledFrame sampled = _pool.RentSampled();
            RandomFrames.FillSampled(sampled, random);
            Keep(() => FrameCodec.WriteSampled(output, sampled.Tokens));
            sampled.Release();
        }

        Keep(() => FrameCodec.WriteHello(output, new Hello(1, 1, "cluster", "replica", 7, 3, "fingerprint", true, bytes)));
        Keep(() => FrameCodec.WriteChallenge(output, new Challenge(1, bytes)));
        Keep(() => FrameCodec.WriteProof(output, bytes));
        Keep(() => FrameCodec.WriteWelcome(output, new Welcome(8, 1 << 20, bytes)));
        Keep(() => FrameCodec.WriteRefused(output, new Refused(RefusalCode.Model, "a reason")));
        Keep(() => FrameCodec.WriteNumber(output, FrameKind.Credit, 3));
        Keep(() => FrameCodec.WriteNumber(output, FrameKind.Ping, 300));
        Keep(() => FrameCodec.WriteBye(output, "a reason"));
        return [.. headers];

        void Keep(Action write)
        {
            write();
            headers.Add(output.Header.ToArray());
        }
    }

    private static byte[] Mutate(byte[] header, Random random)
    {
        byte[] mutated = random.Next(4) switch
        {
            0 => header[..random.Next(header.Length)],
            1 => [.. header, .. new byte[random.Next(1, 9)]],
            _ => [.. header],
        };
        for (int i = random.Next(4); i > 0 && mutated.Length > 0; i--)
        {
            int at = random.Next(mutated.Length);
            switch (random.Next(3))
            {
                case 0:
                    mutated[at] = (byte)random.Next(256);
                    break;
                case 1:
                    mutated[at] ^= (byte)(1 << random.Next(8));
                    break;
                default:
                    // An array, map, string or binary that says it is huge: 0xdd, 0xdf, 0xdb, 0xc6 with a 32-bit count.
                    byte[] huge = [new byte[] { 0xdd, 0xdf, 0xdb, 0xc6 }[random.Next(4)], 0, 0, 0, 0];
                    BinaryPrimitives.WriteUInt32BigEndian(huge.AsSpan(1), (uint)random.NextInt64(1L << 32));
                    huge.AsSpan(0, Math.Min(huge.Length, mutated.Length - at)).CopyTo(mutated.AsSpan(at));
                    break;
            }
        }

        return mutated;
    }

    private static void Refusable(Action read)
    {
        try
        {
            read();
        }
        catch (ProtocolException)
        {
            // The one way to fail.
        }
    }
}
