using Llama3Cluster.Actors.Protocol;

namespace Llama3Cluster.Actors.Tests.Protocol;

public class FramePoolTests
{
    [Fact]
    public void A_released_frame_must_be_rented_again_empty_with_its_memory()
    {
        var pool = new FramePool();
        StepFrame first = pool.RentStep();
        RandomFrames.FillStep(first, new Random(1));
        first.PreparePayload(5000).Fill(7);
        int capacity = first.Capacity;
        first.Release();

        StepFrame second = pool.RentStep();

        Assert.Same(first, second);
        Assert.Equal(0, second.PayloadLength);
        Assert.Equal(0, second.Step.RunCount);
        Assert.Equal(capacity, second.Capacity);
        second.Release();
    }

    [Fact]
    public void A_pool_must_count_what_is_outstanding()
    {
        var pool = new FramePool();
        StepFrame step = pool.RentStep();
        SampledFrame sampled = pool.RentSampled();
        Assert.Equal(2, pool.Outstanding);

        step.Release();
        sampled.Release();

        Assert.Equal(0, pool.Outstanding);
    }

    [Fact]
    public void A_second_release_must_be_refused_and_change_nothing()
    {
        var pool = new FramePool();
        StepFrame step = pool.RentStep();
        SampledFrame sampled = pool.RentSampled();
        step.Release();
        sampled.Release();

        Assert.Throws<InvalidOperationException>(step.Release);
        Assert.Throws<InvalidOperationException>(sampled.Release);

        Assert.Equal(0, pool.Outstanding);
        Assert.NotSame(pool.RentStep(), pool.RentStep());
    }

    [Fact]
    public void A_released_frame_must_not_give_its_payload()
    {
        StepFrame frame = new FramePool().RentStep();
        frame.Release();

        Assert.Throws<InvalidOperationException>(() => frame.PreparePayload(1));
        Assert.Throws<InvalidOperationException>(() => frame.Payload.Length);
    }

    [Fact]
    public void A_pool_must_not_keep_more_frames_than_its_limit()
    {
        var pool = new FramePool(maxIdleFrames: 2);
        StepFrame[] frames = [pool.RentStep(), pool.RentStep(), pool.RentStep()];
        foreach (StepFrame frame in frames)
            frame.Release();

        StepFrame[] again = [pool.RentStep(), pool.RentStep(), pool.RentStep()];

        Assert.Equal(2, again.Intersect(frames).Count());
    }

    [Fact]
    public void A_pool_must_not_keep_more_bytes_than_its_limit()
    {
        var pool = new FramePool(maxIdleFrames: 8, maxIdleBytes: 3 << 20);
        StepFrame[] frames = [pool.RentStep(), pool.RentStep(), pool.RentStep()];
        foreach (StepFrame frame in frames)
            frame.PreparePayload(1500 << 10);
        foreach (StepFrame frame in frames)
            frame.Release();

        Assert.Equal(2 << 20, pool.IdleBytes); // one of 1.5 MB, which takes 2, and no second
        for (int i = 0; i < frames.Length; i++)
            pool.RentStep();
        Assert.Equal(0, pool.IdleBytes);
    }

    [Fact]
    public void A_payload_must_grow_and_shrink_within_its_memory()
    {
        StepFrame frame = new FramePool().RentStep();

        frame.PreparePayload(100).Fill(1);
        Assert.Equal(100, frame.Payload.Length);
        int capacity = frame.Capacity;
        frame.PreparePayload(10);
        Assert.Equal(10, frame.Payload.Length);
        Assert.Equal(capacity, frame.Capacity);
        frame.PreparePayload(3 * capacity);
        Assert.Equal(3 * capacity, frame.Payload.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => frame.PreparePayload(-1));
    }

    [Fact]
    public void A_frame_must_have_one_owner_however_many_threads_rent()
    {
        var pool = new FramePool(maxIdleFrames: 4);
        Parallel.For(0, 8, worker =>
        {
            for (int i = 0; i < 2000; i++)
            {
                StepFrame frame = pool.RentStep();
                Span<byte> payload = frame.PreparePayload(64);
                payload.Fill((byte)worker);
                Assert.Equal(-1, frame.Payload.IndexOfAnyExcept((byte)worker));
                frame.Release();
            }
        });

        Assert.Equal(0, pool.Outstanding);
    }
}
